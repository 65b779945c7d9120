package alarm_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"firebreak/alarm"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// book is a Book in memory; record has the real one, and its tests.
type book struct {
	raised []alarm.Raised
	claims map[string]time.Time
}

func (b *book) at(key string) int {
	return slices.IndexFunc(b.raised, func(r alarm.Raised) bool { return r.Key == key })
}
func (b *book) Raised(context.Context) ([]alarm.Raised, error) { return slices.Clone(b.raised), nil }
func (b *book) Begin(_ context.Context, c alarm.Cause) error {
	b.raised = append(b.raised, alarm.Raised{Cause: c, Told: map[string]bool{}})
	return nil
}
func (b *book) Claim(_ context.Context, key, channel string, now time.Time) (bool, error) {
	if at, ok := b.claims[key+channel]; ok && now.Sub(at) < time.Minute {
		return false, nil
	}
	b.claims[key+channel] = now
	return true, nil
}
func (b *book) Told(_ context.Context, key, channel string) error {
	b.raised[b.at(key)].Told[channel] = true
	return nil
}
func (b *book) End(_ context.Context, key string) (bool, error) {
	i := b.at(key)
	b.raised = slices.Delete(b.raised, i, i+1)
	return true, nil
}

// ear notes what it is told, and is deaf at times.
type ear struct {
	name  string
	deaf  bool
	heard []string
}

func (e *ear) Name() string { return e.name }
func (e *ear) Tell(_ context.Context, n alarm.Notice) error {
	if e.deaf {
		return errors.New("not now")
	}
	text := n.Text + " at " + n.Page
	if n.Over {
		text = "over: " + n.Text
	}
	e.heard = append(e.heard, text)
	return nil
}

func TestEachCauseIsToldOnce(t *testing.T) {
	mail, hook, officer := &ear{name: "mail"}, &ear{name: "webhook"}, &ear{name: "mail"}
	var causes []alarm.Cause
	now := noon
	w := alarm.Watcher{
		Causes:   func(context.Context) ([]alarm.Cause, error) { return causes, nil },
		Book:     &book{claims: map[string]time.Time{}},
		Channels: map[alarm.Whom][]alarm.Channel{alarm.Operators: {mail, hook}, alarm.Officers: {officer}},
		Pages:    map[alarm.Whom]string{alarm.Operators: "/ops", alarm.Officers: "/officer"},
		Now:      func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
	}
	look := func() {
		t.Helper()
		if err := w.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * time.Minute)
	}
	heard := func(e *ear, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, e.heard); diff != "" {
			t.Error(diff)
		}
		e.heard = nil
	}
	look()
	heard(mail)

	held := alarm.Cause{Key: "held lab", To: alarm.Operators, Text: "lab: 1 message is held", Since: noon}
	causes = []alarm.Cause{held, {Key: "emergency x", To: alarm.Officers, Text: "Emergency access", Since: noon}}
	hook.deaf = true
	look()
	heard(mail, "lab: 1 message is held at /ops")
	heard(officer, "Emergency access at /officer")
	causes[0].Text = "lab: 7 messages are held"
	hook.deaf = false
	look()
	heard(mail)
	heard(hook, "lab: 1 message is held at /ops")
	heard(officer)

	causes = []alarm.Cause{held}
	look()
	heard(officer, "over: Emergency access")
	causes, mail.deaf = nil, true
	look()
	heard(hook, "over: lab: 1 message is held")
	mail.deaf = false
	look()
	heard(mail)

	causes = []alarm.Cause{held} // it begins again
	look()
	heard(mail, "lab: 1 message is held at /ops")
}

// letterbox is an SMTP server.
type letterbox struct {
	mu   sync.Mutex
	got  []string
	to   []string
	says *smtp.SMTPError
}

func (b *letterbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *letterbox) Reset()                                      {}
func (b *letterbox) Logout() error                               { return nil }
func (b *letterbox) Mail(string, *smtp.MailOptions) error        { return nil }
func (b *letterbox) Rcpt(to string, _ *smtp.RcptOptions) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.says != nil {
		return b.says
	}
	b.to = append(b.to, to)
	return nil
}
func (b *letterbox) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, string(text))
	return err
}

func serve(t *testing.T) (*letterbox, string) {
	box := &letterbox{}
	s := smtp.NewServer(box)
	s.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return box, l.Addr().String()
}

func TestMail(t *testing.T) {
	box, at := serve(t)
	m := &alarm.Mail{Server: at, From: "firebreak@hospital.example", To: []string{"ops@hospital.example", "night@hospital.example"}, Now: func() time.Time { return noon }}
	n := alarm.Notice{Cause: alarm.Cause{Key: "k", Text: "Notaufnahme Süd: 3 messages are held", Since: noon}, ID: "k 1", Page: "https://gw.example.org/ops"}
	for range 2 { // the same again, as after a crash
		if err := m.Tell(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"ops@hospital.example", "night@hospital.example"}, box.to[:2]); diff != "" {
		t.Error(diff)
	}
	msg, err := mail.ReadMessage(strings.NewReader(box.got[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if err != nil || subject != "Firebreak: Notaufnahme Süd: 3 messages are held" {
		t.Errorf("the subject is %q, %v", subject, err)
	}
	if msg.Header.Get("Auto-Submitted") != "auto-generated" {
		t.Error("an absence assistant would answer")
	}
	again, err := mail.ReadMessage(strings.NewReader(box.got[1]))
	if err != nil || again.Header.Get("Message-ID") != msg.Header.Get("Message-ID") {
		t.Error("a repetition cannot be told by its id")
	}
	body, err := io.ReadAll(msg.Body)
	if err != nil || !strings.Contains(string(body), "https://gw.example.org/ops") || !strings.Contains(string(body), "2026-03-02 12:00 UTC") {
		t.Errorf("the body is %q", body)
	}

	box.says = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no ops@hospital.example here"}
	if err := m.Tell(t.Context(), n); err == nil || strings.Contains(err.Error(), "hospital") {
		t.Errorf("refused, it says %v", err)
	}
	m.Server = "127.0.0.1:1"
	if err := m.Tell(t.Context(), n); err == nil || strings.Contains(err.Error(), "night") {
		t.Errorf("unreachable, it says %v", err)
	}
}

func TestWebhook(t *testing.T) {
	var body, signature string
	status := 204
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, signature = string(b), r.Header.Get("Firebreak-Signature")
		w.WriteHeader(status)
	}))
	defer receiver.Close()
	h := &alarm.Webhook{URL: receiver.URL + "/hook?token=secret", Secret: []byte("a secret of this test"), Client: receiver.Client()}
	n := alarm.Notice{Cause: alarm.Cause{Key: "held lab", Text: "lab: 1 message is held", Since: noon}, Over: true, ID: "i", Page: "p"}
	if err := h.Tell(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"i","alarm":"held lab","state":"over","text":"lab: 1 message is held","since":"2026-03-02T12:00:00Z","page":"p"}`; body != want {
		t.Errorf("posted\n%s\nwant\n%s", body, want)
	}
	mac := hmac.New(sha256.New, h.Secret)
	mac.Write([]byte(body))
	if signature != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signed %q", signature)
	}
	status = 500
	if err := h.Tell(t.Context(), n); err == nil || err.Error() != "alarm: webhook: the receiver answered 500" {
		t.Errorf("got %v", err)
	}
	receiver.Close()
	if err := h.Tell(t.Context(), n); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
