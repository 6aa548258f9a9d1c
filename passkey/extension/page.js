"use strict";

const home = "https://web.whatsapp.com/";
const [form, field, button, note] = ["form", "line", "go", "note"].map((id) => document.getElementById(id));

// read finds the address and the token in a pasted text.
function read(text) {
	const found = /(http:\/\/127\.0\.0\.1(?::\d+)?\/[^\s#]*)#([\w-]+)/.exec(text);
	return found && { line: found[0], address: found[1], token: found[2] };
}

// call sends a request to the program that listens at the address.
async function call({ address, token }, path, body) {
	let response;
	try {
		response = await fetch(new URL(path, address), {
			method: "POST", body, cache: "no-store", credentials: "omit", redirect: "error",
			headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
		});
	} catch {
		throw new Error("Check that the program is still waiting, and runs on this computer: nothing answers at this address.");
	}
	if (!response.ok) {
		throw new Error(await response.text());
	}
	return response;
}

// show brings a tab to the front: browsers ask for a passkey only in a visible tab.
async function show(tab) {
	await chrome.tabs.update(tab.id, { active: true });
	await chrome.windows.update(tab.windowId, { focused: true });
}

// lost replaces the browser's own errors about a tab that does not exist any more.
const lost = 'Press "Use the passkey" again: the tab of WhatsApp was closed, or went to another page.';

// until waits until ready(tab) is true. It throws if the tab is closed.
function until(id, ready) {
	return new Promise((resolve, reject) => {
		const look = async (changed) => {
			if (changed !== id) {
				return;
			}
			try {
				if (!ready(await chrome.tabs.get(id))) {
					return;
				}
				resolve();
			} catch {
				reject(new Error(lost));
			}
			chrome.tabs.onUpdated.removeListener(look);
			chrome.tabs.onRemoved.removeListener(look);
		};
		chrome.tabs.onUpdated.addListener(look);
		chrome.tabs.onRemoved.addListener(look);
		look(id);
	});
}

// ask asks for the passkey in a tab of WhatsApp, since browsers give the passkey of
// whatsapp.com to no other page.
async function ask(options) {
	const [open] = await chrome.tabs.query({ url: `${home}*` });
	const tab = open ?? (await chrome.tabs.create({ url: home }));
	let result;
	try {
		await show(tab);
		await until(tab.id, (now) => now.status === "complete");
		const asked = chrome.scripting.executeScript({
			target: { tabId: tab.id }, world: "MAIN", func: askForPasskey, args: [options],
		});
		// A page that was left may stay in the browser's back/forward cache, where the
		// script neither answers nor fails.
		const left = until(tab.id, (now) => !now.url?.startsWith(home));
		[{ result } = {}] = (await Promise.race([asked, left])) ?? [];
	} catch {
		throw new Error(lost);
	} finally {
		await show(await chrome.tabs.getCurrent()).catch(() => {});
		if (!open) {
			await chrome.tabs.remove(tab.id).catch(() => {});
		}
	}
	if (!result?.answer) {
		throw new Error(result?.error ?? lost);
	}
	return result.answer;
}

form.addEventListener("submit", async (event) => {
	event.preventDefault();
	button.disabled = true;
	note.textContent = "Waiting for the passkey…";
	try {
		const program = read(field.value);
		if (!program) {
			throw new Error("Copy the line that the program shows, as a whole: it begins with http://127.0.0.1 and has a # in it.");
		}
		const challenge = await call(program, "challenge");
		await call(program, "answer", await ask(await challenge.json()));
		field.value = "";
		note.textContent = "The program has the answer. Go on there, and look at the phone.";
	} catch (err) {
		note.textContent = err.message;
	} finally {
		button.disabled = false;
	}
});

// If the extension's button was pressed in a tab whose address is the line, fill the
// line in. Do not look at other tabs: a line that is open there may be another program's.
chrome.tabs.getCurrent()
	.then(({ openerTabId }) => chrome.tabs.get(openerTabId))
	.then(({ url }) => { field.value ||= read(url ?? "")?.line ?? ""; })
	.catch(() => {}); // the tab was closed
