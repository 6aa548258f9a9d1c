package walinktest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/util/cbcutil"
	"go.mau.fi/whatsmeow/util/hkdfutil"

	"github.com/walink/walink/internal/redact"
)

const (
	// mediaHost is the host of attachments. HTTPClient leads it, as all hosts, to the server.
	mediaHost = "mmg.whatsapp.net"
	// maxMedia is the size of the largest attachment that the server takes.
	maxMedia = 100 << 20
	// mediaMAC is the length of the HMAC at the end of an attachment (download.go of whatsmeow).
	mediaMAC = 10
)

// mediaConn tells a client where attachments are (queryMediaConn of whatsmeow).
func (c *conn) mediaConn(request *waBinary.Node) {
	c.result(request, waBinary.Node{
		Tag:     "media_conn",
		Attrs:   waBinary.Attrs{"auth": c.srv.mediaAuth(), "ttl": 3600, "auth_ttl": 3600, "max_buckets": 12},
		Content: []waBinary.Node{{Tag: "host", Attrs: waBinary.Attrs{"hostname": mediaHost}}},
	})
}

// mediaAuth returns what a client has to show to change attachments.
func (s *Server) mediaAuth() string { return base64.RawURLEncoding.EncodeToString(s.static.Pub[:]) }

// upload takes an attachment (rawUpload of whatsmeow), or deletes one (DeleteMedia).
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	if r.URL.Query().Get("auth") != s.mediaAuth() {
		http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodDelete {
		s.mu.Lock()
		delete(s.media, mediaPath(token))
		s.mu.Unlock()
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMedia))
	if err != nil {
		http.Error(w, http.StatusText(http.StatusRequestEntityTooLarge), http.StatusRequestEntityTooLarge)
		return
	}
	if sum := sha256.Sum256(data); token != base64.URLEncoding.EncodeToString(sum[:]) {
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.keepMedia(token, data))
}

// keepMedia keeps an attachment, and returns where it is.
func (s *Server) keepMedia(token string, data []byte) whatsmeow.UploadResponse {
	path := mediaPath(token)
	s.mu.Lock()
	s.media[path] = data
	s.mu.Unlock()
	path += "?ccb=11-4" // clients append further parameters
	return whatsmeow.UploadResponse{URL: "https://" + mediaHost + path, DirectPath: path}
}

func mediaPath(token string) string { return "/v/" + token }

// download returns an attachment (downloadMedia of whatsmeow).
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data, ok := s.media[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.Error(w, http.StatusText(http.StatusNotFound), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data)
}

// Upload encrypts an attachment and gives it to the server. Its result has what a message with
// the attachment needs, as that of whatsmeow's Client.Upload.
func (p *Phone) Upload(ctx context.Context, data []byte, kind whatsmeow.MediaType) (whatsmeow.UploadResponse, error) {
	if err := ctx.Err(); err != nil {
		return whatsmeow.UploadResponse{}, err
	}
	key := random(32)
	iv, cipherKey, macKey := mediaKeys(key, kind)
	sealed, _ := cbcutil.Encrypt(cipherKey, iv, slices.Clone(data)) // only a key of another length is an error
	sealed = append(sealed, mediaSum(macKey, iv, sealed)...)
	plainSum, sum := sha256.Sum256(data), sha256.Sum256(sealed)
	uploaded := p.srv.keepMedia(base64.URLEncoding.EncodeToString(sum[:]), sealed)
	uploaded.MediaKey, uploaded.FileSHA256, uploaded.FileEncSHA256 = key, plainSum[:], sum[:]
	uploaded.FileLength = uint64(len(data))
	return uploaded, nil
}

// Download returns the attachment of a message's part, such as its ImageMessage. It returns
// ErrNoMedia if the server does not have the attachment.
func (p *Phone) Download(ctx context.Context, part whatsmeow.DownloadableMessage) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.srv.mu.Lock()
	sealed := p.srv.media[mediaPath(base64.URLEncoding.EncodeToString(part.GetFileEncSHA256()))]
	p.srv.mu.Unlock()
	if len(sealed) < mediaMAC {
		return nil, ErrNoMedia
	}
	iv, cipherKey, macKey := mediaKeys(part.GetMediaKey(), whatsmeow.GetMediaType(part))
	sealed, mac := sealed[:len(sealed)-mediaMAC], sealed[len(sealed)-mediaMAC:]
	if !hmac.Equal(mac, mediaSum(macKey, iv, sealed)) {
		return nil, errors.New("walinktest: download: the key does not fit")
	}
	data, err := cbcutil.Decrypt(cipherKey, iv, slices.Clone(sealed))
	if err != nil {
		return nil, redact.Errorf("walinktest: download: %w", err)
	}
	return data, nil
}

// mediaKeys returns the keys of an attachment (getMediaKeys of whatsmeow).
func mediaKeys(key []byte, kind whatsmeow.MediaType) (iv, cipherKey, macKey []byte) {
	expanded := hkdfutil.SHA256(key, nil, []byte(kind), 112)
	return expanded[:16], expanded[16:48], expanded[48:80]
}

func mediaSum(key, iv, sealed []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(iv)
	mac.Write(sealed)
	return mac.Sum(nil)[:mediaMAC]
}
