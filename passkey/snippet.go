package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
)

// snippetFrame goes around the extension's ceremony.js and the challenge. copy is
// a function of the console, and exists only until the snippet first waits.
const snippetFrame = `(async (copy) => {
%s
const { answer, error } = await askForPasskey(%s);
if (error) { console.error(error); return; }
console.log(answer);
if (copy) { copy(answer); console.info("Copied. Paste it into the terminal."); }
else { console.info("Copy the line in braces, and paste it into the terminal."); }
})(typeof copy === "function" ? copy : null);
`

// Snippet returns JavaScript for the console of a page of
// https://web.whatsapp.com. The script asks the browser for the passkey and prints
// the answer as one line of JSON, for ParsePasted. If the console has a function
// to copy, the script also copies the line. The snippet is for people who do not
// install the extension, and for browsers that cannot run it.
//
// The script holds the challenge as an object literal that cannot break out of
// the script, nor of an HTML page around it. Snippet returns an error with a method
// Remedy if challenge is not a JSON object, or its rpId is not "whatsapp.com".
func Snippet(challenge json.RawMessage) (string, error) {
	if err := check(challenge); err != nil {
		return "", fmt.Errorf("passkey: snippet: %w", err)
	}
	// The ceremony reads these alone. The others would only be in the person's way.
	var options struct {
		Challenge        json.RawMessage `json:"challenge,omitempty"`
		RPID             json.RawMessage `json:"rpId,omitempty"`
		AllowCredentials json.RawMessage `json:"allowCredentials,omitempty"`
		UserVerification json.RawMessage `json:"userVerification,omitempty"`
		Timeout          json.RawMessage `json:"timeout,omitempty"`
	}
	err := json.Unmarshal(challenge, &options)
	if err != nil {
		return "", fmt.Errorf("passkey: snippet: %w", errNoObject)
	}
	// MarshalIndent also escapes <, >, & and the line separators of JavaScript.
	literal, err := json.MarshalIndent(options, "", "  ")
	if err != nil {
		return "", fmt.Errorf("passkey: snippet: %w", err)
	}
	ceremony, err := extensionFiles.ReadFile(path.Join(extensionFolder, "ceremony.js"))
	if err != nil {
		return "", fmt.Errorf("passkey: snippet: %w", err)
	}
	return fmt.Sprintf(snippetFrame, bytes.TrimSpace(ceremony), redact.JSON(literal)), nil
}

// The errors of check do not quote the challenge.
var (
	errNoObject = hint.New(errors.New("the challenge is not a JSON object"),
		"Give the Challenge of a PasskeyRequired event to this package as it is.")
	errForeign = hint.New(errors.New("the challenge is for the passkey of another site than whatsapp.com"),
		"Give the Challenge of a PasskeyRequired event to this package as it is. If this is one, do not answer it: "+
			"WhatsApp did not make it.")
)

// check returns an error if challenge cannot be one of WhatsApp's.
func check(challenge json.RawMessage) error {
	var options *struct {
		RPID any `json:"rpId"`
	}
	switch err := json.Unmarshal(challenge, &options); {
	case err != nil || options == nil:
		return errNoObject
	case options.RPID != "whatsapp.com":
		return errForeign
	}
	return nil
}

// ParsePasted finds the answer to a challenge in a text that a person has pasted.
// The answer is the JSON of PublicKeyCredential.toJSON(). There may be quotes, a
// prompt and other text around the answer, and a terminal may have broken it into
// lines. ParsePasted returns the last answer in s, in one line. It returns an
// error if s has no answer or more than 16 KB.
//
// ParsePasted recognises an answer by its fields. walink's AnswerPasskey finds out
// whether the answer is a good one.
func ParsePasted(s string) (json.RawMessage, error) {
	if len(s) > maxAnswer {
		return nil, errors.New("passkey: parse: the text is too long for an answer")
	}
	s = strings.Map(func(r rune) rune {
		// An answer has no spaces.
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	// A console may show the answer as a string, with its quotes escaped.
	for _, text := range []string{s, strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s)} {
		if answer := lastAssertion(text); answer != nil {
			return answer, nil
		}
	}
	return nil, errors.New("passkey: parse: there is no answer in the text: copy the whole line that begins with { and ends with }")
}

// lastAssertion returns the last assertion in text, or nil if there is none.
func lastAssertion(text string) json.RawMessage {
	for end := len(text); ; {
		start := strings.LastIndexByte(text[:end], '{')
		if start < 0 {
			return nil
		}
		if object := objectAt(text[start:]); object != nil && isAssertion(object) {
			return object
		}
		end = start
	}
}

// objectAt returns the JSON object at the start of text, or nil if there is none. An object
// that is deeper than any answer is none: otherwise each level of a deep one would be read
// once for each level around it.
func objectAt(text string) json.RawMessage {
	const deepest = 8
	tokens := json.NewDecoder(strings.NewReader(text))
	for depth := 0; ; {
		token, err := tokens.Token()
		if err != nil {
			return nil
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		switch depth {
		case 0:
			return json.RawMessage(text[:tokens.InputOffset()])
		case deepest:
			return nil
		}
	}
}

// isAssertion reports whether data is JSON with the fields of an assertion.
func isAssertion(data []byte) bool {
	var assertion struct {
		ID       string `json:"id"`
		RawID    string `json:"rawId"`
		Type     string `json:"type"`
		Response struct {
			ClientDataJSON    string `json:"clientDataJSON"`
			AuthenticatorData string `json:"authenticatorData"`
			Signature         string `json:"signature"`
		} `json:"response"`
	}
	if err := json.Unmarshal(data, &assertion); err != nil {
		return false
	}
	response := assertion.Response
	return assertion.ID != "" && assertion.RawID != "" && assertion.Type != "" &&
		response.ClientDataJSON != "" && response.AuthenticatorData != "" && response.Signature != ""
}
