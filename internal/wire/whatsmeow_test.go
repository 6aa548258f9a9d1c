package wire_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// whatsmeowVersion is the version of whatsmeow that the table below was read from.
const whatsmeowVersion = "v0.0.0-20260921121126-35ae40906e74"

// reliance is something in whatsmeow's source on which walink relies, though
// whatsmeow promises it to nobody: the compiler does not see that it has changed.
type reliance struct {
	source string // as in the file, with any white space
	by     string // the files or folders of walink
	why    string
}

// TestWhatsmeowIsAsRead compares what walink relies on with the source of
// whatsmeow. Where it fails after a move to another version, read the place in
// whatsmeow again, change what relies on it, and then this table. docs/whatsmeow.md
// has the hazards that no text of the source shows.
func TestWhatsmeowIsAsRead(t *testing.T) {
	t.Parallel()
	const module = "go.mau.fi/whatsmeow"
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("There is no go command, which knows the folder of whatsmeow's source.")
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	var whatsmeow struct{ Version, Dir string }
	if err := json.Unmarshal(out, &whatsmeow); err != nil {
		t.Fatal(err)
	}
	if whatsmeow.Version != whatsmeowVersion {
		t.Errorf("whatsmeow is %s, walink was written for %s: read again what is named below, and what has changed in between",
			whatsmeow.Version, whatsmeowVersion)
	}
	for file, reliances := range relied() {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(filepath.Join(whatsmeow.Dir, filepath.FromSlash(file)))
			if err != nil {
				t.Fatalf("whatsmeow has no %s: look where its content is now", file)
			}
			source := spaced(string(data))
			for _, r := range reliances {
				for by := range strings.SplitSeq(r.by, ", ") {
					if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(by))); err != nil {
						t.Errorf("walink has no %s: name what relies on it now, that %s", by, r.why)
					}
				}
				if !strings.Contains(source, spaced(r.source)) {
					t.Errorf("whatsmeow's %s does not have:\n\t%s\nRead it again for %s: %s.", file, r.source, r.by, r.why)
				}
			}
		})
	}
}

// spaced returns s with a single space for any white space.
func spaced(s string) string { return strings.Join(strings.Fields(s), " ") }

// relied returns the table, by the files of whatsmeow.
func relied() map[string][]reliance {
	return map[string][]reliance{
		"client.go": {
			{
				`recvLog: log.Sub("Recv"), sendLog: log.Sub("Send"),`,
				"internal/wire", "the tap knows these loggers by their names",
			},
			{
				`cli.recvLog.Debugf("%s", node) if node.Tag == "xmlstreamend"`,
				"internal/wire", "the tap sees each node that arrives before it is handled",
			},
			{
				`cli.sendLog.Debugf("%s", &node) return payload, sock.SendFrame(ctx, payload)`,
				"internal/wire", "the tap sees each node that goes out, in the goroutine that sends it",
			},
			{
				`cli.Log.Debugf("Starting handler queue loop")`,
				"internal/wire",
				"the tap knows by this text that the handshake is over, also after a reconnect of whatsmeow's own",
			},
			{
				`cli.Log.Debugf("Emitting Disconnected event") go cli.dispatchEvent(&events.Disconnected{})`,
				"internal/wire", "one of the three ends of onDisconnect, each of which has its text",
			},
			{
				`cli.Log.Debugf("OnDisconnect() called, but it was expected, so not emitting event")`,
				"internal/wire", "one of the three ends of onDisconnect",
			},
			{
				`cli.Log.Debugf("OnDisconnect() called after manual disconnection")`,
				"internal/wire", "one of the three ends of onDisconnect",
			},
			{
				`cli.Log.Debugf("Ignoring OnDisconnect on different socket")`,
				"internal/wire", "it is about a connection that was replaced before, and ends nothing",
			},
			{
				`Transport: (http.DefaultTransport.(*http.Transport)).Clone(),`,
				"internal/wire, doctor", "NewClient panics with another http.DefaultTransport",
			},
			{
				`client := cli.websocketHTTP if cli.Store.ID == nil { client = cli.preLoginHTTP }`,
				"internal/wire", "both clients lead through walink's transport, before the login and after it",
			},
			{
				`if cli.Store.Deleted { return store.ErrDeviceDeleted }`,
				"internal/wire", "a device that was deleted cannot be connected again",
			},
			{
				`return fmt.Errorf("noise handshake failed: %w", err)`,
				"internal/wire", "the cause of a failed handshake is in the error's chain",
			},
			{
				`func (cli *Client) ConnectContext(ctx context.Context) error { if cli == nil { return ErrClientIsNil
					} cli.socketLock.Lock() defer cli.socketLock.Unlock()`,
				"internal/wire", "the lock that Disconnect needs is held through dial and handshake",
			},
			{
				`go cli.keepAliveLoop(ctx, fs.Context()) go cli.handlerQueueLoop(ctx, fs.Context(), queue, closeWait)`,
				"internal/wire", "the context of a connect is the life of the connection",
			},
			{
				`if cli.socket == ns { cli.socket = nil cli.clearResponseWaiters(xmlStreamEndNode) if
					!cli.isExpectedDisconnect() && (cli.forceAutoReconnect.Swap(false) || remote) {`,
				"internal/wire", "when an end is reported by Disconnected, and when it is not",
			},
			{
				`if !cli.EnableAutoReconnect || cli.Store.ID == nil { return }`,
				"internal/wire", "a device that is not linked never reconnects by itself",
			},
			{
				`autoReconnectDelay := time.Duration(cli.AutoReconnectErrors) * 2 * time.Second`,
				"supervise.go", "the wait between reconnects of whatsmeow's own, which Supervise leaves five minutes",
			},
			{
				`cli.socketLock.Lock() cli.expectDisconnect() cli.unlockedDisconnect() cli.socketLock.Unlock()`,
				"internal/wire", "Disconnect waits for a connect that is under way, and is reported by no event",
			},
			{
				`Tag: "remove-companion-device", Attrs: waBinary.Attrs{ "jid": ownID, "reason": "user_initiated", },`,
				"internal/wire, walinktest/login.go", "walink sends the request of Logout itself",
			},
			{
				`cli.nodeHandlers[node.Tag](evtCtx, node)`,
				"internal/wire", "handlers run in a goroutine of whatsmeow's, one after the other",
			},
			{
				`err := cli.connect(ctx) if errors.Is(err, ErrAlreadyConnected)`,
				"internal/wire", "a reconnect of whatsmeow's own takes the same lock as ConnectContext",
			},
		},
		"handshake.go": {
			{
				`const NoiseHandshakeResponseTimeout = 20 * time.Second`,
				"internal/wire", "how long a connect to a silent server would take",
			},
			{
				`case resp = <-fs.Frames: case <-time.After(NoiseHandshakeResponseTimeout):`,
				"internal/wire", "the handshake heeds neither its context nor the end of the connection",
			},
			{
				`return nil, fmt.Errorf("missing parts of handshake response")`,
				"internal/wire", "an empty frame ends the handshake at once",
			},
			{
				`err = verifyServerCert(certDecrypted, staticDecrypted); err != nil { return nil, fmt.Errorf("failed
					to verify server cert: %w", err)`,
				"internal/wire", "a certificate that does not verify is known by this text",
			},
			{
				`return fmt.Errorf("certificate not valid yet (current time`,
				"internal/wire, doctor", "a wrong clock is known by this text",
			},
			{
				`return fmt.Errorf("certificate expired (current time`,
				"internal/wire, doctor", "a wrong clock is known by this text",
			},
			{
				`if cli.GetClientPayload != nil { clientPayload = cli.GetClientPayload() }`,
				"internal/wire", "each Linker has its device name and its version in the payload",
			},
			{
				`ns, err := nh.Finish(fs, cli.makeFrameHandler(queue), cli.onDisconnect)`,
				"internal/wire", "the end of a connection is heard of only from here on",
			},
			{
				`else if intermediateCertDetails.GetIssuerSerial() != WACertIssuerSerial {`,
				"walinktest/root.go", "the certificates of the fake have these serials",
			},
			{
				`hmac.Equal(leafCertDetails.GetKey(), staticDecrypted)`,
				"walinktest/root.go", "the leaf certificate of the fake is about its static key",
			},
		},
		"pair.go": {
			{
				`if len(children) != 1 || node.Attrs["from"] != types.ServerJID { return }`,
				"internal/wire", "the tap takes a node for a pair-success under the same conditions",
			},
			{
				`case "pair-success": cli.handlePairSuccess(ctx, node)`,
				"internal/wire", "the tap knows a pair-success by its tag",
			},
			{
				`go func() { err := cli.handlePair(ctx, deviceIdentityBytes, id, businessName, platform, jid, lid)`,
				"internal/wire", "each pair-success has its own goroutine, which the PrePairCallback may end",
			},
			{
				`cli.Disconnect() cli.dispatchEvent(&events.PairError{`,
				"internal/wire", "whatsmeow disconnects before it reports a pair-success that was not good",
			},
			{
				`if cli.PrePairCallback != nil && !cli.PrePairCallback(jid, platform, businessName) {
					cli.sendPairError(ctx, reqID, 500, "internal-error") return ErrPairRejectedLocally }`,
				"internal/wire", "the account is checked before anything is stored",
			},
			{
				`"to": types.ServerJID, "type": "error", "id": id,`,
				"internal/wire", "the tap knows by an iq of type error that a pair-success is refused",
			},
			{
				`cli.sendPairError(ctx, reqID, 401, "hmac-mismatch")`,
				"walinktest/pairing.go", "what a phone learns of a spoilt HMAC",
			},
			{
				`cli.sendPairError(ctx, reqID, 401, "signature-mismatch")`,
				"walinktest/pairing.go", "what a phone learns of a spoilt signature",
			},
			{
				`err = cli.Store.Save(ctx) if err != nil { cli.sendPairError(ctx, reqID, 500, "internal-error")
					return &PairDatabaseError{"failed to save device store", err}`,
				"internal/wire", "the guard is in front of this call of the store",
			},
			{
				`cli.StoreLIDPNMapping(ctx, lid, jid) err = cli.Store.Identities.PutIdentity(ctx,
					mainDeviceLID.SignalAddress().String(), mainDeviceIdentity)`,
				"internal/wire", "the guard is in front of these calls of the stores",
			},
			{
				`cli.expectDisconnect() cli.paired.Store(true)`,
				"internal/machine",
				"no Disconnected follows where the connection ends between pair-success and the 515",
			},
			{
				`_ = cli.Store.Delete(ctx) return fmt.Errorf("failed to send pairing confirmation: %w", err)`,
				"internal/wire", "a device is deleted again where its confirmation cannot be sent",
			},
			{
				`cli.Store.AdvSecretKey = random.Bytes(32) cli.dispatchEvent(&events.RotateADVSecret{`,
				"internal/wire", "the event comes right after the write, so that the secret can be put back there",
			},
			{
				`NewSecret: base64.StdEncoding.EncodeToString(cli.Store.AdvSecretKey),`,
				"internal/machine", "the new secret is written as in a QR payload",
			},
			{
				`return fmt.Sprintf("https://wa.me/settings/linked_devices#%s,%s,%s,%s,%s", ref, noise, identity,
					adv, clientType)`,
				"internal/machine, internal/redact, walinktest/qr.go",
				"the machine replaces the secret of a payload, the log masks payloads, and the fake reads them",
			},
			{
				`go cli.sendUnifiedSession() cli.dispatchEvent(&events.PairSuccess{`,
				"walinktest/pairing.go",
				"something is still sent after pair-success, which the fake lets pass before the 515",
			},
			{`mainDeviceLID.Device = 0`, "walinktest/pairing.go", "the primary is device 0"},
			{
				`Tag: "pair-device-sign", Content: []waBinary.Node{{ Tag: "device-identity",`,
				"walinktest/pairing.go", "the fake verifies what the companion has signed",
			},
		},
		"pair-code.go": {
			{
				`var linkingBase32 = base32.NewEncoding("123456789ABCDEFGHJKLMNPQRSTVWXYZ")`,
				"internal/redact, walinktest/phone.go",
				"the log masks what is made of these letters, and the fake reads codes of them",
			},
			{
				`return encodedLinkingCode[0:4] + "-" + encodedLinkingCode[4:], nil`,
				"internal/machine", "a code is shown as it is here: ABCD-EFGH",
			},
			{
				`pbkdf2.Key([]byte(encodedLinkingCode), salt, 2<<16, 32, sha256.New)`,
				"walinktest/phone.go", "the fake derives the same key from a code",
			},
			{
				`if len(phone) <= 6 { return "", ErrPhoneNumberTooShort }`,
				"internal/number", "ParsePhone refuses what whatsmeow would refuse",
			},
			{
				`"stage": "companion_hello",`,
				"internal/wire, walinktest/companion.go", "the tap knows the request for a code by it",
			},
			{
				`"stage": "companion_finish",`,
				"internal/wire, walinktest/companion.go", "the tap knows the answer to the phone by it",
			},
			{
				`cli.Store.AdvSecretKey = advSecret _, err = cli.sendIQ(ctx, infoQuery{`,
				"internal/wire",
				"the secret of the QR code on the screen is replaced just before companion_finish is sent",
			},
			{
				`err := cli.handleCodePairNotification(ctx, parentNode) if err != nil { cli.Log.Errorf("Failed to
					handle code pair notification: %s", err) }`,
				"internal/wire",
				"what fails after the code was entered is only logged, so the tap looks for the answer to companion_finish",
			},
			{
				`if string(linkCodePairingRef) != linkCache.pairingRef { return fmt.Errorf("pairing ref mismatch in
					code pair notification") }`,
				"internal/wire", "a code is named by its link_code_pairing_ref, and only the last one counts",
			},
			{
				`return "", &ElementMissingError{Tag: "link_code_pairing_ref", In: "code link registration response"}`,
				"internal/wire", "an answer without a ref is malformed, and no refusal",
			},
			{
				`{Tag: "companion_platform_id", Content: string(clientType)}, {Tag: "companion_platform_display",
					Content: clientDisplayName},`,
				"walinktest/linkcode.go", "the fake checks what companion_hello says of the companion",
			},
			{
				`[]byte("link_code_pairing_key_bundle_encryption_key"), 32)`,
				"walinktest/phone.go", "the fake opens the key bundle of companion_finish",
			},
			{
				`advSecret := hkdfutil.SHA256(advSecretInput, nil, []byte("adv_secret"), 32)`,
				"walinktest/phone.go", "the fake derives the same secret",
			},
		},
		"pair-passkey.go": {
			{
				`return k != nil && time.Since(k.ts) < 5*time.Minute`,
				"internal/machine, internal/wire, walinktest/passkeylink.go", "how long the proof of the hand-off is good",
			},
			{
				`hmac: hkdfutil.SHA256(cli.Store.AdvSecretKey, nil, []byte("shortcake-passkey-handoff-v1"), 32),`,
				"internal/wire, walinktest/prologue.go", "walink makes the proof of the hand-off, and the fake checks it",
			},
			{
				`cli.Store.AdvSecretKey = random.Bytes(32) cli.dispatchEvent(&events.PairPasskeyRequest{PublicKey:
					pubKey})`,
				"internal/wire",
				"only when the event comes is there a proof of the hand-off, and the QR code is spoilt by then",
			},
			{
				`pubKey, secondErr = cli.getPasskeyRequestOptions(ctx)`,
				"internal/wire",
				"whatsmeow asks again for a challenge that it could not parse, so that the tap reads the answer too",
			},
			{
				`Error: err, Continuation: true,`,
				"internal/wire", "a PairPasskeyError distinguishes a bad challenge from a failed continuation",
			},
			{
				`return fmt.Errorf("received passkey continuation notification without a linking cache")`,
				"internal/wire", "a continuation is reported as an error, because whatsmeow has no part in the ceremony",
			},
			{
				`cli.Log.Warnf("Failed to handle passkey continuation notification: %v", err)`,
				"internal/wire", "this warning is no trouble, and is logged at the debug level",
			},
			{
				`deviceType := store.DeviceProps.GetPlatformType()`,
				"internal/wire, walinktest/prologue.go",
				"the device type is that of the process and not of the client, so that walink takes the steps itself",
			},
			{
				`cli.passkeyHandoffKey.Store(nil) return nil`,
				"internal/wire", "an answer that was refused can be followed by another with the same proof",
			},
			{
				`SkipHandoffUX: cli.passkeySkipHandoffUX.Load(),`,
				"internal/wire", "whether a person has to compare the code: not after a proof of the hand-off",
			},
			{
				`{Tag: "credential_id", Content: []byte(passkeyResp.RawID)}, {Tag: "webauthn_assertion", Content:
					marshaledResp}, {Tag: "prologue_payload", Content: prologuePayload},`,
				"internal/wire, walinktest/prologue.go", "walink sends these, and the fake checks them",
			},
			{
				`Tag: "pairing_handoff_proof",`,
				"internal/wire, walinktest/prologue.go", "walink sends it, and the fake checks it where it is sent",
			},
			{
				`const info = "Pairing Information Encryption Key" salt := fmt.Sprintf("Companion Pairing %d with ref
					%s", cache.deviceType, cache.pairingRef)`,
				"internal/wire, walinktest/prologue.go", "walink and the fake derive the same key",
			},
			{
				`digest := sha256.Sum256(append(cache.companionNonce, primaryEphemeralIdentity.PublicKey...))`,
				"internal/wire, walinktest/prologue.go", "walink and the fake show the same code",
			},
			{
				`Tag: "encrypted_pairing_request",`,
				"internal/wire, walinktest/prologue.go", "walink sends the pairing request, and the fake opens it",
			},
		},
		"notification.go": {
			{
				`case "link_code_companion_reg": go cli.tryHandleCodePairNotification(ctx, node)`,
				"internal/wire", "the tap reads the stage of this notification, which whatsmeow does not",
			},
			{
				`case "passkey_prologue_request":`,
				"internal/wire, walinktest/passkeylink.go", "the tap takes the challenge from this notification",
			},
			{
				`case "crsc_continuation":`,
				"internal/wire, walinktest/passkeylink.go", "the notification by which a ceremony goes on",
			},
			{
				`_, refresh := node.GetOptionalChildByTag("companion_reg_refresh")`,
				"internal/wire, walinktest/companion.go", "the notification after which a companion replaces its secret",
			},
		},
		"keepalive.go": {
			{
				`if cli.EnableAutoReconnect && time.Since(lastSuccess) > KeepAliveMaxFailTime {
					cli.Log.Debugf("Forcing reconnect due to keepalive failure") cli.Disconnect()
					cli.resetExpectedDisconnect() go cli.autoReconnect(ctx) }`,
				"internal/wire", "this reconnect is reported by no Disconnected",
			},
			{
				`Namespace: "w:p", Type: "get",`,
				"walinktest/companion.go, walinktest/login.go", "the fake knows a keepalive by it",
			},
		},
		"connectionevents.go": {
			{
				`if cli.DisableLoginAutoReconnect { cli.Log.Infof("Got 515 code, but login autoreconnect is disabled,
					not reconnecting") cli.dispatchEvent(&events.ManualLoginReconnect{}) return }`,
				"internal/wire", "the 515 is walink's to answer until the login",
			},
			{
				`cli.Log.Errorf("Failed to reconnect after 515 code: %v", err)`,
				"internal/wire", "a reconnect after a 515 that fails is only logged",
			},
			{
				`cli.clearResponseWaiters(node) code, _ := node.Attrs["code"].(string)`,
				"internal/wire", "a request is answered with the stream error that ended the connection",
			},
			{
				`case code == "401" && conflictType == "device_removed": cli.expectDisconnect()`,
				"internal/wire, walinktest/device.go", "how the removal of the device is reported",
			},
			{
				`case conflictType == "replaced": cli.expectDisconnect()`,
				"internal/wire, walinktest/login.go", "how WhatsApp reports that another connection uses the session",
			},
			{
				`case code == "503":`,
				"internal/wire", "whatsmeow reconnects by itself after this stream error",
			},
			{
				`case reason == events.ConnectFailureServiceUnavailable || reason ==
					events.ConnectFailureInternalServerError:`,
				"internal/wire", "whatsmeow reconnects by itself after these failures alone",
			},
			{
				`if reason.IsLoggedOut() { cli.Log.Infof("Got %s connect failure, sending LoggedOut event and
					deleting session", reason) go cli.dispatchEvent(&events.LoggedOut{OnConnect: true, Reason: reason})
					err := cli.Store.Delete(ctx)`,
				"internal/wire",
				"whatsmeow deletes the device by itself, so that the tap waits for a pairing that is being stored",
			},
			{
				`cli.Log.Infof("Got %d/%s connect failure, refreshing CAT before reconnecting...", int(reason),
					message) err := cli.RefreshCAT(ctx)`,
				"internal/wire", "RefreshCAT is called for the failures 413 and 414, whether it is set or not",
			},
			{
				`cli.Log.Infof("Got %s stream error, refreshing CAT before reconnecting...", code)
					cli.socketLock.RLock()`,
				"internal/wire", "the handler of a stream error waits for the lock of Disconnect, so that Shut waits for the handler",
			},
			{
				`case "downgrade_webclient": go cli.dispatchEvent(&events.QRScannedWithoutMultidevice{})`,
				"internal/wire", "a phone without multi-device is reported by this event alone",
			},
			{
				`go func() { if dbCount, err := cli.Store.PreKeys.UploadedPreKeyCount(ctx); err != nil {`,
				"internal/wire",
				"the guard is in front of this call, and Connected may come after the end of the connection",
			},
			{
				`err := cli.SetPassive(ctx, false) if err != nil { cli.Log.Warnf("Failed to send post-connect passive
					IQ: %v", err) } cli.dispatchEvent(&events.Connected{})`,
				"internal/wire, walinktest/login.go", "what comes before Connected",
			},
		},
		"prekeys.go": {
			{
				`preKeys, err := cli.Store.PreKeys.GetOrGenPreKeys(ctx, uint32(wantedCount))`,
				"internal/wire", "the guard is in front of this call of the store",
			},
			{
				`err = cli.Store.PreKeys.MarkPreKeysAsUploaded(ctx, preKeys[len(preKeys)-1].KeyID)`,
				"internal/wire", "the guard is in front of this call of the store",
			},
			{
				`wantedCount = 812`,
				"internal/wire, walinktest/login.go",
				"how many keys the first login makes, which a store has to bear",
			},
			{
				`{Tag: "registration", Content: registrationIDBytes[:]}, {Tag: "type", Content: []byte{ecc.DjbType}},
					{Tag: "identity", Content: cli.Store.IdentityKey.Pub[:]}, {Tag: "list", Content:
					preKeysToNodes(preKeys)},`,
				"walinktest/login.go", "the fake checks an upload of keys",
			},
		},
		"request.go": {
			{
				`const defaultRequestTimeout = 75 * time.Second`,
				"internal/machine", "the machine's own limits of a code request and of the ceremony are shorter",
			},
			{
				`var xmlStreamEndNode = &waBinary.Node{Tag: "xmlstreamend"}`,
				"internal/wire", "a request that the end of the connection has cut off is answered with this node",
			},
			{
				`case <-time.After(query.Timeout): return nil, ErrIQTimedOut`,
				"internal/wire", "silence is known by this error",
			},
			{
				`return res, &IQError{RawNode: res}`,
				"internal/wire", "an answer that is none has an IQError with code 0",
			},
			{
				`if !cli.WaitForConnection(5 * time.Second) {`,
				"internal/wire", "a request whose connection has ended returns up to five seconds later",
			},
			{
				`return nil, &DisconnectedError{Action: reqType, Node: origResp}`,
				"internal/wire", "a request whose connection has ended is known by this error",
			},
		},
		"errors.go": {
			{`ErrIQBadRequest error = &IQError{Code: 400, Text: "bad-request"}
				ErrIQNotAuthorized error = &IQError{Code: 401, Text: "not-authorized"}
				ErrIQForbidden error = &IQError{Code: 403, Text: "forbidden"}
				ErrIQNotFound error = &IQError{Code: 404, Text: "item-not-found"}
				ErrIQNotAllowed error = &IQError{Code: 405, Text: "not-allowed"}
				ErrIQNotAcceptable error = &IQError{Code: 406, Text: "not-acceptable"}
				ErrIQGone error = &IQError{Code: 410, Text: "gone"}
				ErrIQResourceLimit error = &IQError{Code: 419, Text: "resource-limit"}
				ErrIQLocked error = &IQError{Code: 423, Text: "locked"}
				ErrIQRateOverLimit error = &IQError{Code: 429, Text: "rate-overlimit"}
				ErrIQInternalServerError error = &IQError{Code: 500, Text: "internal-server-error"}
				ErrIQServiceUnavailable error = &IQError{Code: 503, Text: "service-unavailable"}`, "walinktest/conn.go", "the fake's errors have the texts of these"},
		},
		"qrchan.go": {
			{
				`timeout := 20 * time.Second if len(codes) == 6 { timeout = 60 * time.Second }`,
				"internal/machine, walinktest/companion.go",
				"how long a QR code is shown: the first of six a minute, the others 20 seconds",
			},
		},
		"update.go": {
			{
				"regexp.MustCompile(`\"client_revision\":(\\d+),`)",
				"walinktest/transport.go", "the page of the fake has the version in this form",
			},
			{
				`http.NewRequestWithContext(ctx, http.MethodGet, socket.Origin, nil)`,
				"doctor, walinktest/transport.go",
				"the page that is asked for, of which the doctor says how it was answered",
			},
			{
				`return nil, fmt.Errorf("unexpected response with status %d: %s", resp.StatusCode, data)`,
				"internal/wire, doctor", "the error has the whole page in it, which no log and no report may have",
			},
			{
				`return nil, fmt.Errorf("failed to send request: %w", err)`,
				"internal/wire", "a request that fails is known by the *url.Error in the chain",
			},
			{
				`return nil, fmt.Errorf("failed to read response: %w", err)`,
				"internal/wire", "a page that is cut off is known by this text",
			},
		},
		"appstate.go": {
			{
				`cli.Store.Contacts.PutContactName(ctx, jid, act.GetFirstName(), act.GetFullName())`,
				"internal/sqlkeep", "the first name comes first, whatever the interface calls its parameters",
			},
		},
		"message.go": {
			{
				`err := cli.Store.Sessions.MigratePNToLID(ctx, pn, lid)`,
				"internal/sqlkeep",
				"whatsmeow migrates the sender of every message, so that the store remembers whom it has migrated",
			},
		},
		"types/events/events.go": {
			{`ConnectFailureLoggedOut ConnectFailureReason = 401
				ConnectFailureTempBanned ConnectFailureReason = 402
				ConnectFailureMainDeviceGone ConnectFailureReason = 403`, "internal/wire, walinktest/login.go", "what the code of a failure means"},
			{
				`ConnectFailureUnknownLogout ConnectFailureReason = 406`,
				"internal/wire", "what the code of a failure means",
			},
			{
				`ConnectFailureClientOutdated ConnectFailureReason = 405 ConnectFailureBadUserAgent
					ConnectFailureReason = 409`,
				"internal/wire, walinktest/companion.go", "what the code of a failure means",
			},
			{
				`ConnectFailureCATExpired ConnectFailureReason = 413 ConnectFailureCATInvalid ConnectFailureReason =
					414`,
				"internal/wire", "the failures for which RefreshCAT is called",
			},
			{
				`ConnectFailureInternalServerError ConnectFailureReason = 500`,
				"internal/wire", "what the code of a failure means",
			},
			{
				`ConnectFailureServiceUnavailable ConnectFailureReason = 503`,
				"internal/wire", "what the code of a failure means",
			},
			{
				`return cfr == ConnectFailureLoggedOut || cfr == ConnectFailureMainDeviceGone || cfr ==
					ConnectFailureUnknownLogout`,
				"internal/wire", "the failures after which whatsmeow deletes the device",
			},
		},
		"socket/constants.go": {
			{
				`Origin = "https://web.whatsapp.com"`,
				"doctor, walinktest/transport.go", "the host that the doctor looks up and connects to",
			},
			{
				`URL = "wss://web.whatsapp.com/ws/chat"`,
				"doctor, walinktest/transport.go", "the path of the fake's websocket",
			},
			{`FrameLengthSize = 3`, "internal/wire", "a frame begins with three bytes of length"},
			{
				`ErrDialFailed = errors.New("failed to dial whatsapp web websocket")`,
				"internal/wire", "a websocket that cannot be opened is known by this error",
			},
		},
		"socket/framesocket.go": {
			{`Frames: make(chan []byte),`, "internal/wire", "frames are handed on without a buffer"},
			{
				`fs.receivedLength = 0 fs.Frames <- data`,
				"internal/wire", "the reader waits for ever with a frame that nobody takes",
			},
			{
				`length := (int(msg[0]) << 16) + (int(msg[1]) << 8) + int(msg[2])`,
				"internal/wire", "how the length of a frame is written",
			},
			{
				`} else if msgType != websocket.MessageBinary { fs.log.Warnf("Got unexpected websocket message type
					%d", msgType) continue }`,
				"internal/wire", "a message that is not binary is passed over",
			},
			{
				`conn, resp, err := websocket.Dial(ctx, fs.URL, fs.makeDialOptions())`,
				"internal/wire", "the http.Client that walink gives dials, so that its transport sees the connection",
			},
			{
				`err = ErrWithStatusCode{err, resp.StatusCode}`,
				"internal/wire", "the HTTP status of a refused websocket is in the error's chain",
			},
			{
				`return fmt.Errorf("%w: %w", ErrDialFailed, err)`,
				"internal/wire", "the cause of a failed dial is in the error's chain",
			},
			{
				`if fs.OnDisconnect != nil { go fs.OnDisconnect(fs.parentCtx, code == 0) }`,
				"internal/wire", "the reader reads OnDisconnect under a lock that its writers do not take",
			},
			{
				`fs.log.Debugf("Frame websocket read pump exiting %p", fs) go fs.Close(0)`,
				"internal/wire",
				"the reader of a connection that has ended tears it down itself; %p has to be masked in the log",
			},
			{
				`go fs.readPump(conn, ctx)`,
				"internal/wire", "one goroutine reads a connection, from before the handshake on",
			},
		},
		"socket/noisesocket.go": {
			{
				`fs.OnDisconnect = func(ctx context.Context, remote bool) {`,
				"internal/wire", "the end of the handshake writes OnDisconnect without a lock",
			},
			{
				`close(ns.stopConsumer) if !allowOnDisconnect { ns.fs.OnDisconnect = nil }`,
				"internal/wire", "Disconnect writes OnDisconnect without a lock, and stops what takes frames",
			},
		},
		"binary/unpack.go": {
			{`if 2&dataType > 0 {`, "walinktest/node.go", "how a compressed frame is known"},
		},
		"store/clientpayload.go": {
			{
				`var waVersion = WAVersionContainer{2, 3000, 1047769893}`,
				"internal/wire/version.go", "BuiltIn knows the date of this version",
			},
			{
				`payload := proto.Clone(BaseClientPayload).(*waWa6.ClientPayload) regID := make([]byte, 4)`,
				"internal/wire", "the payload is a copy, into which walink puts its own",
			},
			{
				`ERegid: regID, EKeytype: []byte{ecc.DjbType}, EIdent: device.IdentityKey.Pub[:], ESkeyID:
					preKeyID[1:], ESkeyVal: device.SignedPreKey.Pub[:], ESkeySig: device.SignedPreKey.Signature[:],
					BuildHash: waVersionHash[:], DeviceProps: deviceProps,`,
				"internal/wire, walinktest/companion.go",
				"walink replaces BuildHash and DeviceProps, and the fake checks the rest",
			},
			{
				`payload.Username = proto.Uint64(device.ID.UserInt()) payload.Device =
					proto.Uint32(uint32(device.ID.Device))`,
				"walinktest/login.go, walinktest/device.go", "how a login names its device",
			},
		},
		"store/sqlstore/container.go": {
			{
				`innerStore := NewSQLStore(c, *device.ID) device.SetAllStores(innerStore) device.LIDs = c.LIDMap
					device.Container = c device.Initialized = true`,
				"internal/wire, internal/sqlkeep, store/kv",
				"the first PutDevice gives a device its stores, and the guard is then put in front of them",
			},
			{
				`RegistrationID: mathRand.Uint32(), AdvSecretKey: random.Bytes(32), } device.SignedPreKey =
					device.IdentityKey.CreateSignedPreKey(1)`,
				"doctor, store/kv", "what a new device is made of",
			},
			{
				`else if !foreignKeysEnabled { return fmt.Errorf("foreign keys are not enabled")`,
				"store/sqlite", "the tables are refused without foreign keys",
			},
			{
				`wrapped.VersionTable = "whatsmeow_version"`,
				"store/sqlite, store/postgres", "the table with the version of whatsmeow's tables",
			},
		},
		"store/sqlstore/lidmap.go": {
			{
				`s.lidCacheLock.Lock() defer s.lidCacheLock.Unlock() err := s.db.QueryRow(ctx, query,
					source.User).Scan(&targetUser)`,
				"store/sqlite",
				"whatsmeow reads while it holds the lock of the LID map, so that reads need their own connections",
			},
		},
		"store/sqlstore/store.go": {
			{
				`time.Now().Add(-14*24*time.Hour).UnixMilli())`,
				"store/kv, store/storetest", "how long buffered events are kept",
			},
			{
				`time.Now().Add(-7*24*time.Hour).UnixMilli())`,
				"store/kv, store/storetest", "how long outgoing events are kept",
			},
		},
		"store/sqlstore/upgrades/00-latest-schema.sql": {
			{
				`-- v0 -> v15 (compatible with v8+): Latest schema`,
				"internal/sqlkeep, store/sqlite, store/postgres",
				"the tables and columns that are exported, imported and deleted",
			},
		},
	}
}
