package hospital

import (
	"bytes"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestSameSeedSameBytes(t *testing.T) {
	a, b := New(7, 3, day).Messages(), New(7, 3, day).Messages()
	if len(a) != len(b) || len(a) < 30 {
		t.Fatalf("%d and %d messages", len(a), len(b))
	}
	for i := range a {
		if !bytes.Equal(a[i].Body, b[i].Body) {
			t.Fatalf("message %d differs between two draws of one seed", i)
		}
	}
}

func TestMessagesAreInOrderAndNumberedOnce(t *testing.T) {
	seen := map[string]bool{}
	var last time.Time
	for _, m := range New(7, 20, day).Messages() {
		if m.At.Before(last) || m.At.After(day) {
			t.Fatalf("a message of %v after one of %v, now is %v", m.At, last, day)
		}
		last = m.At
		id := string(bytes.Split(m.Body, []byte("|"))[9])
		if seen[id] {
			t.Fatalf("control id %s twice", id)
		}
		seen[id] = true
	}
}

// The canaries are useful only if each stands in AYAN's messages.
func TestSecretsArePlanted(t *testing.T) {
	var all []byte
	for _, m := range New(7, 1, day).History(0) {
		all = append(all, m.Body...)
	}
	for _, s := range Secrets {
		if s != "HIV-CANARY-PDF" && !bytes.Contains(all, []byte(s)) {
			t.Errorf("%s stands in no message", s)
		}
	}
}
