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
	if (location.origin !== "https://web.whatsapp.com") {
		return { error: "This is not a page of https://web.whatsapp.com." };
	}
	try {
		return { answer: JSON.stringify(answer(await navigator.credentials.get({ publicKey: request() }))) };
	} catch (err) {
		return { error: `The browser gave no passkey: ${err.message}` };
	}
}
