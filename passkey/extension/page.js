"use strict";

const home = "https://web.whatsapp.com/";
const [form, field, who, host, title, digits, button, note] =
	["form", "line", "who", "host", "title", "digits", "go", "note"].map((id) => document.getElementById(id));

let asker = null; // the program that has proved that it made the line in the field
let looks = 0; // how often look was called

// read returns the address and the token of a line, and null for any other text. Nothing
// may come before the line or after it: a website may put a line into its own address.
function read(line) {
	const found = /^(http:\/\/127\.0\.0\.1(?::\d+)?\/[^\s#]*)#([\w-]{22})$/.exec(line);
	return found && { address: found[1], token: found[2] };
}

// plain makes a text of the program one line without control characters, and cuts out
// the middle of a long text. What is no text becomes "".
function plain(text) {
	const line = [...(typeof text === "string" ? text : "").replace(/[\p{C}\p{Z}]+/gu, " ").trim()];
	return line.length > 200 ? `${line.slice(0, 130).join("")} … ${line.slice(-67).join("")}` : line.join("");
}

const utf8 = (text) => new TextEncoder().encode(text);

// derive makes 32 bytes of the token for one purpose. The token itself is sent to nobody.
async function derive(token, purpose) {
	const key = await crypto.subtle.importKey("raw", utf8(token), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
	return new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8(`walink passkey ${purpose}`)));
}

async function sealKey(token, purpose) {
	return crypto.subtle.importKey("raw", await derive(token, purpose), "AES-GCM", false, ["encrypt", "decrypt"]);
}

// call sends a request to the program that listens at the address, and returns the
// body of the response.
async function call({ address, token }, path, body) {
	const id = Array.from(await derive(token, "id"), (byte) => byte.toString(16).padStart(2, "0")).join("");
	let response, text;
	try {
		response = await fetch(new URL(path, address), {
			method: "POST", body, cache: "no-store", credentials: "omit", redirect: "error",
			headers: { Authorization: `Bearer ${id}`, "Content-Type": "application/octet-stream" },
		});
		text = await response.arrayBuffer();
	} catch {
		throw new Error("Check that the program is still waiting, and runs on this computer: nothing answers at this address.");
	}
	if (!response.ok) {
		throw new Error(`The program says: ${plain(new TextDecoder().decode(text))}`);
	}
	return text;
}

// question asks the program at the address for the challenge and for what it says of
// itself. It throws unless the reply is sealed under the token for this very question.
async function question(program) {
	const nonce = crypto.getRandomValues(new Uint8Array(16));
	const reply = await call(program, "challenge", nonce);
	const key = await sealKey(program.token, "challenge");
	try {
		const box = { name: "AES-GCM", iv: reply.slice(0, 12), additionalData: nonce };
		const text = await crypto.subtle.decrypt(box, key, reply.slice(12));
		return JSON.parse(new TextDecoder().decode(text));
	} catch {
		throw new Error("Do not go on: the program that answers at this address is not the one that made this line.");
	}
}

// seal seals an answer, so that only the program that made the line can read it.
async function seal(token, answer) {
	const iv = crypto.getRandomValues(new Uint8Array(12));
	const text = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await sealKey(token, "answer"), utf8(answer));
	return new Blob([iv, text]);
}

// look asks the program that made the line in the field, and shows who it is. The
// button works only after that.
async function look() {
	const turn = ++looks;
	const line = field.value.trim();
	let found = null, problem = "";
	meet(null);
	note.textContent = "";
	try {
		const program = read(line);
		if (program) {
			found = { ...(await question(program)), ...program };
		} else if (line) {
			problem = "Copy the line that the program shows, as a whole and alone: it begins with http://127.0.0.1 and has a #.";
		}
	} catch (err) {
		problem = err.message;
	}
	if (turn === looks) { // the person has changed nothing in the meantime
		meet(found);
		note.textContent = problem;
	}
}

// meet shows who asks, and then takes that program for the asker. null is none.
function meet(program) {
	asker = null;
	who.hidden = button.disabled = true;
	if (program) {
		const { hostname, port } = new URL(program.address);
		const last = plain(program.number).replace(/\D/g, "").slice(-4);
		host.textContent = `${hostname}:${port || 80}`;
		title.textContent = plain(program.program) || "not given";
		digits.textContent = last ? `ends in ${last}` : "not given";
		asker = program;
		who.hidden = button.disabled = false;
	}
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
			target: { tabId: tab.id }, world: "MAIN", func: askForPasskey, args: [options ?? null],
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

field.addEventListener("input", look);

form.addEventListener("submit", async (event) => {
	event.preventDefault();
	field.readOnly = button.disabled = true;
	note.textContent = "Waiting for the passkey…";
	try {
		await call(asker, "answer", await seal(asker.token, await ask(asker.challenge)));
		field.value = "";
		meet(null);
		note.textContent = "The program has the answer. Go on there, and look at the phone.";
	} catch (err) {
		note.textContent = err.message;
	} finally {
		field.readOnly = false;
		button.disabled = !asker;
	}
});

// If the extension's button was pressed in a tab whose address is the line, fill the
// line in. Do not look at other tabs: a line that is open there may be another program's.
chrome.tabs.getCurrent()
	.then(({ openerTabId }) => chrome.tabs.get(openerTabId))
	.then(({ url }) => {
		if (!field.value && read(url ?? "")) {
			field.value = url;
			look();
		}
	})
	.catch(() => {}); // the tab was closed
