// Package passkey gets the answer to WhatsApp's passkey challenge out of a
// person's browser.
//
// WhatsApp links no device to an account that has a passkey before somebody
// uses the passkey. walink reports the challenge in a PasskeyRequired event. The
// answer has to come from an authenticator: the person's phone, computer,
// security key or password manager. Authenticators answer for whatsapp.com only
// to a page of whatsapp.com in a browser, so a program cannot ask them itself.
// There are two ways:
//
//   - A browser extension, which this package contains. The person presses a
//     button, and the extension sends the answer to the program. See [Broker].
//   - A snippet for the browser's console, for people who do not install
//     extensions. The person pastes its output into the terminal. See [Snippet]
//     and [ParsePasted].
//
// The package uses no package outside the standard library but helpers of this
// module, and does not import walink. It takes the JSON of
// PublicKeyCredentialRequestOptions and returns the JSON of
// PublicKeyCredential.toJSON(), without clientExtensionResults.
//
// # For a person: the extension
//
// The extension is for Chromium, Chrome, Edge, Brave, Opera and Vivaldi, on the
// computer on which the program runs. Install it once:
//
//  1. Let the program write the extension into a folder, by WriteExtension.
//  2. Open chrome://extensions and switch "Developer mode" on.
//  3. Press "Load unpacked" and choose the folder. Leave the folder where it is:
//     the browser reads it at each start. A browser that was installed as a snap
//     or a flatpak may not see hidden folders; copy the folder to another place.
//
// Then, when the program asks for the passkey:
//
//  1. Open the line that the program shows, http://127.0.0.1:…/#…, in that
//     browser, and press the extension's button in that tab. Or press the button
//     in any tab and paste the line, and nothing else.
//  2. Read who asks: the program's address, and the name and the last digits of the
//     number that the program claims. The extension shows them when the program has
//     proved that it made the line. It cannot check the claims: go on only if you
//     expect them.
//  3. Press "Use the passkey". The extension goes to your tab of
//     web.whatsapp.com, or opens one and closes it afterwards. There the browser
//     asks for the passkey. You need not be logged in.
//  4. Look at the program, and at the phone.
//
// A challenge can be answered for ten minutes. In the first five the phone trusts
// the answer without a comparison of codes. If the browser gives no passkey, or
// the program does not accept the answer, press "Use the passkey" again: the line
// is still good.
//
// # For a person: the snippet
//
// The snippet is for any browser on any computer: for Firefox and Safari, and for
// a program that runs on a server.
//
//  1. Open https://web.whatsapp.com, and the console there: press F12 or
//     Ctrl-Shift-J, on a Mac Cmd-Option-J.
//  2. Paste the snippet and press Enter. Browsers and WhatsApp warn about
//     pasting into the console, with good reason: paste only what your own
//     program shows. Chrome wants you to type "allow pasting" first.
//  3. The browser asks for the passkey, and then the console shows a line. Paste
//     that line into the terminal. If the console says "Copied", the line is in
//     the clipboard already.
//
// # For a programmer
//
// Show the Line and serve the challenge. linker.AnswerPasskey decides on each
// answer, and the extension shows its error to the person:
//
//	broker := passkey.NewBroker(passkey.Claim{Program: "Shop desk", Number: settings.Phone})
//	defer broker.Close()
//	base, err := broker.Listen(ctx, "127.0.0.1:0")
//	...
//	case walink.PasskeyRequired:
//		fmt.Println("Open this in the browser:", broker.Line(base, e.Challenge))
//		go func() {
//			ctx, cancel := context.WithDeadline(ctx, e.Expires)
//			defer cancel()
//			err := broker.Serve(ctx, e.Challenge, linker.AnswerPasskey)
//			...
//		}()
//
// Give a pasted answer to linker.AnswerPasskey too, at any time: the first answer
// that it accepts counts. For a line from the terminal:
//
//	answer, err := passkey.ParsePasted(line)
//	if err == nil {
//		err = linker.AnswerPasskey(ctx, answer)
//	}
//
// For the extension alone, Settings.Passkey = broker.Ask is shorter. The extension
// then tells the person that the answer has arrived, and cannot say whether
// WhatsApp accepts it.
//
// A terminal in line mode takes at most 1024 bytes a line on macOS, 4096 on
// Linux. An answer has about 600 bytes, and more if its credential ids are long.
// A paste may therefore arrive in several lines: give ParsePasted all lines so far.
//
// If the program runs on another computer than the browser, listen on a fixed port
// and forward it to the person's computer (ssh -L 4711:127.0.0.1:4711). In a
// container, serve the Broker with an http.Server of the program on 0.0.0.0,
// publish the port on the host's 127.0.0.1 only, and make the Line from the host's
// address.
//
// # Security
//
// The answer to a challenge lets the program into the account, once. So:
//
//   - Listen serves 127.0.0.1 and nothing else. A request whose Host is not a
//     loopback address gets 403, so a website cannot reach the Broker through a
//     name that points to 127.0.0.1.
//   - Only the extension's origin gets an answer. Every page gets 403, whether it
//     was opened or asks by a script. The key in the extension's manifest fixes
//     its id.
//   - Another program on the computer can forge an Origin, or listen at the port
//     when the Broker has closed it. So each challenge also has a token of 128 bits,
//     which nobody sends. In the Line it comes after the #, where browsers keep it to
//     themselves. The browser's history has it, but it is of no use after the answer.
//   - The extension asks for a challenge by an id, which is a hash of the token, with
//     16 random bytes. The Broker seals the challenge and the Claim under a key
//     derived from the token (HMAC-SHA256, then AES-256-GCM), and binds the random
//     bytes. Before the seal is checked, the extension shows nothing but an error,
//     and asks no authenticator. It seals the answer in the same way under another
//     key. A program that does not know the token gets neither the token nor the
//     answer, and can send no answer. The Broker takes a sealed answer once.
//   - The extension and the snippet ask the authenticator for what linking needs and
//     nothing else. They use challenge, rpId, allowCredentials, userVerification and
//     timeout, and refuse an rpId other than whatsapp.com, as the Broker does. They
//     use no WebAuthn extension, whose results could be a key that outlives the link
//     (prf), and send no results of one.
//   - What the program says of itself is marked as its claim, and its error texts
//     come after "The program says:". The extension shows them as one line without
//     control characters, of at most 200 characters. Of the number it shows the last
//     four digits; the Broker does not give it more.
//   - The extension fills a line in only if the address of the tab is that line as a
//     whole. A website cannot hide a line in its own address.
//   - The token is good for one accepted answer. An accepted answer to Serve ends
//     it for good. Otherwise it ends with Serve, and is good again if the program
//     serves the same challenge again. After Ask it is good again if the program
//     calls Ask again, since Ask does not learn whether the answer was accepted.
//     The Broker handles answers one at a time.
//   - Neither the Broker nor the extension keeps, writes or logs a challenge or an
//     answer, and no cache may store one. The Broker refuses an answer that is
//     larger than 16 KB or has not the shape of an assertion, and the challenge
//     can still be answered.
//   - The extension may run scripts on web.whatsapp.com and connect to 127.0.0.1,
//     and nothing else. It does neither before its button is pressed. Then it
//     reads the address of the tab in which the button was pressed, and of no other
//     tab. The page of WhatsApp sees the challenge and the answer, which are
//     WhatsApp's, and not the token.
//   - The browser checks that the page is WhatsApp's and asks the person. The
//     passkey itself never leaves the authenticator. An answer is good only for its
//     own challenge, and WhatsApp takes one answer to a challenge.
//
// The package cannot protect a person who is talked into linking somebody else's
// program. The extension's page warns of that before it asks.
package passkey
