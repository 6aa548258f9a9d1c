package walinktest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/walink/walink/internal/redact"
)

// FakewaClient is [RemoteClient] for a fakewa, of which it needs only the control URL, such as
// "http://127.0.0.1:7802". It returns an error if no fakewa answers there. A fakewa that has
// started again has another root key: clients made before cannot connect to it.
func FakewaClient(ctx context.Context, control string) (*http.Client, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, control, nil)
	if err != nil {
		return nil, redact.Errorf("walinktest: fakewa: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, redact.Errorf("walinktest: fakewa: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var line struct{ Address, RootKey string }
	err = json.NewDecoder(response.Body).Decode(&line)
	key, _ := hex.DecodeString(line.RootKey)
	if err != nil || len(key) != 32 {
		return nil, redact.Errorf("walinktest: fakewa: this is not the control URL of a fakewa: %s", control)
	}
	return RemoteClient(line.Address, [32]byte(key)), nil
}
