// Package passkey gets the answer to WhatsApp's passkey challenge out of a
// person's browser.
//
// An account with a passkey links no device without it. walink tells the
// challenge by PasskeyRequired, and the answer has to come from an
// authenticator: the person's phone, computer, security key or password
// manager. These answer for whatsapp.com only to a page of whatsapp.com, in a
// browser, so a program cannot ask them itself. There are two ways:
//
//   - A browser extension, which is in this package: the person presses a button,
//     and the answer comes back by itself. See [Broker].
//   - A snippet for the browser's console, for people who install nothing: its
//     output is pasted into the terminal. See [Snippet] and [ParsePasted].
//
// The package uses the standard library alone, and does not know walink; what
// it takes and gives is the JSON of PublicKeyCredentialRequestOptions and of
// PublicKeyCredential.toJSON().
//
// # For a person: the extension
//
// It is for Chromium, Chrome, Edge, Brave, Opera and Vivaldi on the computer
// on which the program runs. Once:
//
//  1. Let the program write the extension into a folder (WriteExtension does).
//  2. Open chrome://extensions and switch "Developer mode" on.
//  3. Press "Load unpacked" and choose the folder. Keep it where it is: the browser
//     reads it at each start. A browser that comes as a snap or a flatpak may not
//     see hidden folders; give it a copy elsewhere.
//
// Then, when the program asks for the passkey:
//
//  1. Open the line that it shows, http://127.0.0.1:…/#…, in that browser, and
//     press the extension's button in that tab. Or press the button anywhere and
//     paste the line.
//  2. Press "Use the passkey". The extension goes to your tab of
//     web.whatsapp.com, or opens one for the time being, and the browser asks for
//     the passkey. You need not be logged in there.
//  3. Look at the program, and at the phone.
//
// A challenge lives ten minutes, and for the first five the phone trusts the
// answer without comparing a code. Where the browser gives no passkey, or the
// program does not accept the answer, press again: the line stays good.
//
// # For a person: the snippet
//
// It is for any browser on any computer, so also for Firefox and Safari, and
// where the program runs on a server.
//
//  1. Open https://web.whatsapp.com, and the console there: F12 or
//     Ctrl-Shift-J, on a Mac Cmd-Option-J.
//  2. Paste the snippet and press Enter. Browsers and WhatsApp warn about
//     pasting into the console, and rightly: paste only what your own program
//     shows. Chrome wants "allow pasting" typed first.
//  3. The browser asks for the passkey. Paste the line that then appears into the
//     terminal; where it says "Copied", it is in the clipboard already.
//
// # For a programmer
//
// Show the Line and serve the challenge; linker.AnswerPasskey decides on each
// answer, and the extension shows what it says:
//
//	broker := passkey.NewBroker()
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
// A pasted answer goes the same way, at any time, and the first that is accepted
// counts. For a line that was read from the terminal:
//
//	answer, err := passkey.ParsePasted(line)
//	if err == nil {
//		err = linker.AnswerPasskey(ctx, answer)
//	}
//
// Shorter, for the extension alone, is Settings.Passkey = broker.Ask. The
// extension then hears that its answer has arrived, and not what has become of it.
//
// A terminal in line mode takes at most 1024 bytes a line on macOS, 4096 on
// Linux. An answer has some 600, more with long credential ids. Where a paste
// may arrive in several lines, give ParsePasted all that has come so far.
//
// Where the program runs on another computer, forward the port to the person's
// (ssh -L 4711:127.0.0.1:4711), with a fixed port. In a container serve the
// Broker with an own http.Server on 0.0.0.0, publish the port on the host's
// 127.0.0.1 only, and make the Line from the host's address.
//
// # What is safe about it
//
// The answer to a challenge lets the program into the account, once. So:
//
//   - Listen serves 127.0.0.1 and nothing else. A Host that is not the loopback
//     address gets 403, so no website reaches it by a name that it has let point here.
//   - Only the extension's origin gets an answer; every page, opened or by
//     script, gets 403. The extension's id is fixed by the key in its manifest.
//   - An Origin can be forged by another program on the computer, so each
//     challenge has a token besides, of 128 bits, compared in constant time. It
//     travels as a header and stands behind the # of the Line, which browsers
//     do not send; the browser's history keeps it, where it is of no use after the answer.
//   - The token is good for one accepted answer: that ends it for good, and the
//     end of Serve for as long as the challenge is not served again. After Ask
//     it is good again if Ask is called again, as it cannot know whether its
//     answer was a good one. Answers are tried one after the other.
//   - No challenge and no answer is kept, on either side, nor written or logged,
//     and no cache may hold one. What is larger than 16 KB or has not the shape of an
//     answer is refused, and the challenge stands.
//   - The extension may run scripts on web.whatsapp.com and talk to 127.0.0.1,
//     and nothing else. It does neither before its button is pressed, and
//     then it reads the address of the tab in which that was, and of no other. The
//     page of WhatsApp sees the challenge and the answer, which are
//     WhatsApp's, and not the token.
//   - The browser checks that the page is WhatsApp's and asks the person; the
//     passkey itself never leaves the authenticator. An answer is good for its
//     challenge alone, and WhatsApp takes a challenge once.
//
// What it cannot prevent is a person who is talked into linking somebody else's
// program. The extension's page says so before it asks.
package passkey
