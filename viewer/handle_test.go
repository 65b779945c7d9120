package viewer

import (
	"strings"
	"testing"

	"firebreak/fhir"
)

// A handle opens in its own session alone, and tells nothing by itself.
func TestHandles(t *testing.T) {
	h, err := newHandles([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	p := fhir.Ref{Type: "Patient", ID: "q7k2m4xw5dabcdef"}
	one := h.patient("session-one", p)
	if got, ok := h.open("session-one", one); !ok || got != p {
		t.Errorf("open = %v, %v", got, ok)
	}
	if again := h.patient("session-one", p); again != one {
		t.Error("one patient has two handles in one session")
	}
	if two := h.patient("session-two", p); two == one || strings.HasPrefix(two, one[:8]) {
		t.Error("handles of two sessions are alike")
	}
	other, err := newHandles([]byte("another secret!!"))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (fhir.Ref, bool){
		"another session": func() (fhir.Ref, bool) { return h.open("session-two", one) },
		"no session":      func() (fhir.Ref, bool) { return h.open("", one) },
		"another server":  func() (fhir.Ref, bool) { return other.open("session-one", one) },
		"a changed byte":  func() (fhir.Ref, bool) { return h.open("session-one", "A"+one[1:]) },
		"half of it":      func() (fhir.Ref, bool) { return h.open("session-one", one[:20]) },
	} {
		if got, ok := open(); ok {
			t.Errorf("%s opened %v", name, got)
		}
	}
	if strings.Contains(one, p.ID) || len(one) > 80 {
		t.Errorf("handle %s", one)
	}
	if h.item("s", "test", "ab") == h.item("s", "testa", "b") || h.item("s", "test", "a") == h.item("t", "test", "a") {
		t.Error("two items share a handle")
	}
	if _, err := newHandles([]byte("short")); err == nil {
		t.Error("a short secret is taken")
	}
}

func FuzzOpenHandle(f *testing.F) {
	h, err := newHandles([]byte("0123456789abcdef"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(h.patient("other", fhir.Ref{Type: "Patient", ID: "p"}))
	f.Add("")
	f.Fuzz(func(t *testing.T, handle string) {
		if p, ok := h.open("session", handle); ok {
			t.Errorf("a made-up handle opened %v", p)
		}
	})
}

func TestKindsOfFiles(t *testing.T) {
	for _, row := range []struct{ declared, content, want string }{
		{"text/plain", "%PDF-1.4", "application/pdf"}, {"application/pdf", "%PDF-1.7", "application/pdf"}, {"", `{\rtf1 x}`, "text/rtf"},
		{"text/html", "<script>", "text/html"}, {"text/plain", "plain\ttext\r\n", "text/plain"}, {"", "plain", "text/plain"}, {"text/plain", "a\x00b", "text/plain"},
		{"", "a\x00b", "application/octet-stream"}, {"image/svg+xml", "<svg>", "image/svg+xml"}, {"image/png", "\x89PNG\r\n\x1a\n...", "image/png"},
		{"image/png", "<html>", "image/png"}, {"application/x-anything", "\xff\xd8\xff\xe0", "image/jpeg"},
	} {
		if got := kindOf(row.declared, []byte(row.content)); got != row.want {
			t.Errorf("kindOf(%q, %q) = %q, want %q", row.declared, row.content, got, row.want)
		}
	}
	for in, want := range map[string]string{"\ufeffa\r\nb\rc": "a\nb\nc", "caf\xe9": "café", "café": "café"} {
		if got := plainText([]byte(in)); got != want {
			t.Errorf("plainText(%q) = %q, want %q", in, got, want)
		}
	}
}
