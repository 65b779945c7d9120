package alarm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// Webhook tells by a POST of JSON: {"id", "alarm", "state": "begun" or "over",
// "text", "since", "page"}. Firebreak-Signature is "sha256=" and the HMAC of the
// body in hex. A repetition has the same id.
type Webhook struct {
	URL    string
	Secret []byte
	Client *http.Client // follows no redirect
}

// Name is the channel's.
func (h *Webhook) Name() string { return "webhook" }

// Tell posts it; any answer of 2xx is taken for a yes.
func (h *Webhook) Tell(ctx context.Context, n Notice) error {
	state := "begun"
	if n.Over {
		state = "over"
	}
	body, err := json.Marshal(struct {
		ID    string    `json:"id"`
		Alarm string    `json:"alarm"`
		State string    `json:"state"`
		Text  string    `json:"text"`
		Since time.Time `json:"since"`
		Page  string    `json:"page"`
	}{n.ID, n.Key, state, n.Text, n.Since.UTC(), n.Page})
	if err != nil {
		return errors.New("alarm: webhook: the notice cannot be written")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("alarm: webhook: the address is none")
	}
	mac := hmac.New(sha256.New, h.Secret)
	mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Firebreak-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := h.Client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the address may hold a token
		}
		return fmt.Errorf("alarm: webhook: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("alarm: webhook: the receiver answered %d", answer.StatusCode)
	}
	return nil
}
