package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
)

// snippetFrame goes around the extension's ceremony.js and the challenge. copy
// is the console's own, and only there while the snippet begins to run.
const snippetFrame = `(async (copy) => {
%s
const { answer, error } = await askForPasskey(%s);
if (error) { console.error(error); return; }
console.log(answer);
if (copy) { copy(answer); console.info("Copied. Paste it into the terminal."); }
else { console.info("Copy the line with the braces and paste it into the terminal."); }
})(typeof copy === "function" ? copy : null);
`

// Snippet returns JavaScript for the console of a page of
// https://web.whatsapp.com. It asks the browser for the passkey and prints the
// answer as one line of JSON, for ParsePasted, which it also copies where
// the console can. It is for people who install no extension, and for browsers
// that cannot have it.
//
// The challenge stands in it as an object literal that cannot end the script
// or the text around it. The error is that of a challenge that is not a JSON
// object.
func Snippet(challenge json.RawMessage) (string, error) {
	if !isObject(challenge) {
		return "", fmt.Errorf("passkey: snippet: %w", errNoObject)
	}
	// This escapes <, >, & and the line separators of JavaScript as well.
	literal, err := json.MarshalIndent(challenge, "", "  ")
	if err != nil {
		return "", fmt.Errorf("passkey: snippet: %w", err)
	}
	ceremony, err := extensionFiles.ReadFile(path.Join(extensionFolder, "ceremony.js"))
	if err != nil {
		return "", fmt.Errorf("passkey: snippet: %w", err)
	}
	return fmt.Sprintf(snippetFrame, bytes.TrimSpace(ceremony), literal), nil
}

// errNoObject says nothing of what was read instead.
var errNoObject = errors.New("the challenge is not a JSON object")

func isObject(challenge json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimSpace(challenge), []byte("{")) && json.Valid(challenge)
}

// ParsePasted finds the answer of a challenge in what a person has pasted: the
// JSON of PublicKeyCredential.toJSON(), whatever quotes, prompts and other text
// stand around it, and wherever a terminal has broken it into lines. It returns
// the last answer there is, in one line, and an error if there is none or there are more than
// 16 KB.
//
// An answer is recognised by its fields; whether it is a good one is found out
// by walink's AnswerPasskey.
func ParsePasted(s string) (json.RawMessage, error) {
	if len(s) > maxAnswer {
		return nil, errors.New("passkey: parse: this is too long for an answer")
	}
	s = strings.Map(func(r rune) rune {
		// No part of an answer has a space in it.
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	for _, text := range []string{s, strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s)} { // a console may show a string with its escapes
		if answer := lastAssertion(text); answer != nil {
			return answer, nil
		}
	}
	return nil, errors.New("passkey: parse: there is no answer in it: copy the whole line that begins with { and ends with }")
}

// lastAssertion returns the last assertion in a text; nil if there is none.
func lastAssertion(text string) json.RawMessage {
	for end := len(text); ; {
		start := strings.LastIndexByte(text[:end], '{')
		if start < 0 {
			return nil
		}
		var object json.RawMessage
		if err := json.NewDecoder(strings.NewReader(text[start:])).Decode(&object); err == nil && isAssertion(object) {
			return object
		}
		end = start
	}
}

// isAssertion reports whether data has the shape of an assertion.
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
