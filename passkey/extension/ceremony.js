// askForPasskey gives a challenge to the authenticator. It returns the answer as one
// line of JSON, or an error as a sentence. The browser sends this function as text to
// the page of web.whatsapp.com, so it uses nothing from outside.
async function askForPasskey(options) {
	const decode = (text) =>
		Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
	const encode = (buffer) =>
		btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
	// The request and the answer have what linking needs and nothing else. WebAuthn's
	// extensions would give the program more: the result of prf is a key that outlives the link.
	const request = () => ({
		challenge: decode(options.challenge),
		rpId: options.rpId,
		allowCredentials: (options.allowCredentials ?? [])
			.map(({ type, id, transports }) => ({ type, id: decode(id), transports })),
		userVerification: options.userVerification,
		timeout: options.timeout,
	});
	const answer = ({ id, rawId, type, response }) => ({
		id,
		rawId: encode(rawId),
		type,
		response: {
			clientDataJSON: encode(response.clientDataJSON),
			authenticatorData: encode(response.authenticatorData),
			signature: encode(response.signature),
			...(response.userHandle ? { userHandle: encode(response.userHandle) } : {}),
		},
	});
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
	if (options?.rpId !== "whatsapp.com") {
		return { error: "Do not go on: the program asks for the passkey of another site than whatsapp.com." };
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
