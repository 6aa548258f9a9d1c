// askForPasskey gives a challenge to the authenticator. It returns the answer as one
// line of JSON, or an error as a sentence. It runs in the page of web.whatsapp.com,
// to which it is sent as text, so it uses nothing from outside.
async function askForPasskey(options) {
	const decode = (text) =>
		Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
	const encode = (buffer) =>
		btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
	const request = () => {
		try {
			return PublicKeyCredential.parseRequestOptionsFromJSON(options);
		} catch { // an older browser, or base64 that is not as the browser likes it
			const allowCredentials = (options.allowCredentials ?? []).map((c) => ({ ...c, id: decode(c.id) }));
			return { ...options, challenge: decode(options.challenge), allowCredentials, extensions: {} };
		}
	};
	const answer = (credential) => {
		try {
			return credential.toJSON();
		} catch { // an older browser, or a password manager's credential
			const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
			return {
				id: credential.id,
				rawId: encode(credential.rawId),
				type: credential.type,
				response: {
					clientDataJSON: encode(clientDataJSON),
					authenticatorData: encode(authenticatorData),
					signature: encode(signature),
					...(userHandle ? { userHandle: encode(userHandle) } : {}),
				},
				clientExtensionResults: {},
			};
		}
	};
	const why = (err) => {
		switch (err?.name) {
			case "NotAllowedError":
				return "it was cancelled, took too long, or there is none here for this account.";
			case "AbortError":
			case "InvalidStateError":
			case "OperationError":
				return "another request is going on. Close it and try again.";
			case "SecurityError":
			case "NotSupportedError":
				return "it cannot answer this challenge.";
			default:
				return `it failed (${err?.name ?? "unknown"}).`;
		}
	};
	if (location.origin !== "https://web.whatsapp.com") {
		return { error: "This is not a page of https://web.whatsapp.com." };
	}
	if (!window.PublicKeyCredential || !navigator.credentials) {
		return { error: "This browser knows no passkeys." };
	}
	let publicKey;
	try {
		publicKey = request();
	} catch {
		return { error: "The challenge is not one that a browser understands. Wait for the program's next one." };
	}
	try {
		return { answer: JSON.stringify(answer(await navigator.credentials.get({ publicKey }))) };
	} catch (err) {
		return { error: `The browser gave no passkey: ${why(err)}` };
	}
}
