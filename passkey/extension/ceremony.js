// askForPasskey gives a challenge to the authenticator. It returns the answer as one
// line of JSON, or an error as a sentence. The browser sends this function as text to
// the page of web.whatsapp.com, so it uses nothing from outside.
async function askForPasskey(options) {
	const decode = (text) =>
		Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
	const encode = (buffer) =>
		btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
	const request = () => {
		try {
			return PublicKeyCredential.parseRequestOptionsFromJSON(options);
		} catch { // an older browser, or base64 that the browser does not accept
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
				return "Try again: the browser gave no passkey. The request was cancelled or took too long, or there is no passkey for this account here.";
			case "AbortError":
			case "InvalidStateError":
			case "OperationError":
				return "Close the other request for a passkey, and try again.";
			case "SecurityError":
			case "NotSupportedError":
				return "Use another browser: this one cannot answer the challenge.";
			default:
				return `Try again: the browser gave no passkey (${err?.name ?? "unknown"}).`;
		}
	};
	if (location.origin !== "https://web.whatsapp.com") {
		return { error: "Open https://web.whatsapp.com and try again there: this is another page." };
	}
	if (!window.PublicKeyCredential || !navigator.credentials) {
		return { error: "Use another browser: this one has no passkeys." };
	}
	let publicKey;
	try {
		publicKey = request();
	} catch {
		return { error: "Wait for the next line of the program: the browser does not understand this challenge." };
	}
	try {
		return { answer: JSON.stringify(answer(await navigator.credentials.get({ publicKey }))) };
	} catch (err) {
		return { error: why(err) };
	}
}
