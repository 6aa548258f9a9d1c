"use strict";

const home = "https://web.whatsapp.com/";
const [form, field, button, note] = ["form", "line", "go", "note"].map((id) => document.getElementById(id));

// read finds the address and the token in what was pasted.
function read(text) {
	const found = /(http:\/\/127\.0\.0\.1(?::\d+)?\/[^\s#]*)#([\w-]+)/.exec(text);
	return found && { line: found[0], address: found[1], token: found[2] };
}

// call asks the program, which is whoever listens at the address.
async function call({ address, token }, path, body) {
	let response;
	try {
		response = await fetch(new URL(path, address), {
			method: "POST", body, cache: "no-store", credentials: "omit", redirect: "error",
			headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
		});
	} catch {
		throw new Error("Nothing answers at this address. Is the program still waiting, and on this computer?");
	}
	if (!response.ok) {
		throw new Error(await response.text());
	}
	return response;
}

// show brings a tab to the front: browsers ask for a passkey only in a tab that is seen.
async function show(tab) {
	await chrome.tabs.update(tab.id, { active: true });
	await chrome.windows.update(tab.windowId, { focused: true });
}

// loaded waits until a tab has its page.
function loaded(id) {
	return new Promise((resolve, reject) => {
		const look = async (changed) => {
			if (changed !== id) {
				return;
			}
			try {
				const tab = await chrome.tabs.get(id);
				if (tab.status !== "complete") {
					return;
				}
				resolve();
			} catch {
				reject(new Error("The tab of WhatsApp was closed."));
			}
			chrome.tabs.onUpdated.removeListener(look);
			chrome.tabs.onRemoved.removeListener(look);
		};
		chrome.tabs.onUpdated.addListener(look);
		chrome.tabs.onRemoved.addListener(look);
		look(id);
	});
}

// ask runs the ceremony in a tab of WhatsApp, since a browser gives the passkey of
// whatsapp.com to no other page.
async function ask(options) {
	const [open] = await chrome.tabs.query({ url: `${home}*` });
	const tab = open ?? (await chrome.tabs.create({ url: home }));
	try {
		await show(tab);
		await loaded(tab.id);
		const [{ result }] = await chrome.scripting.executeScript({
			target: { tabId: tab.id }, world: "MAIN", func: askForPasskey, args: [options],
		});
		if (!result?.answer) {
			throw new Error(result?.error ?? "The tab of WhatsApp went to another page.");
		}
		return result.answer;
	} finally {
		await show(await chrome.tabs.getCurrent());
		if (!open) {
			await chrome.tabs.remove(tab.id).catch(() => {});
		}
	}
}

form.addEventListener("submit", async (event) => {
	event.preventDefault();
	button.disabled = true;
	note.textContent = "Waiting for the passkey…";
	try {
		const program = read(field.value);
		if (!program) {
			throw new Error("This is not the line that the program shows: it begins with http://127.0.0.1 and has a # in it.");
		}
		const challenge = await call(program, "challenge");
		await call(program, "answer", await ask(await challenge.json()));
		field.value = "";
		note.textContent = "The program has the answer. Look there, and at the phone, for what follows.";
	} catch (err) {
		note.textContent = err.message;
	} finally {
		button.disabled = false;
	}
});

// Where the line was opened as an address, it need not be pasted.
chrome.tabs.query({ url: "http://127.0.0.1/*" }).then((tabs) => {
	tabs.sort((a, b) => b.lastAccessed - a.lastAccessed);
	field.value ||= tabs.map((tab) => read(tab.url)?.line).find(Boolean) ?? "";
});
