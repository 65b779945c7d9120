package mapping

import (
	"encoding/base64"
	"strings"
	"testing"

	r4 "github.com/samply/golang-fhir-models/fhir-models/fhir"
)

func TestLimits(t *testing.T) {
	for text, want := range map[string][2]string{
		"49 - 92":                              {"49", "92"},
		"3.50-5.5":                             {"3.50", "5.5"},
		"[ 0.38 - 0.52 ]":                      {"0.38", "0.52"},
		"-2 - 2":                               {"-2", "2"},
		"-5--2":                                {},
		">=60":                                 {"60", ""},
		">= 60.0":                              {"60.0", ""},
		"<=2.3":                                {"", "2.3"},
		"[<= 2.3]":                             {"", "2.3"},
		"<5":                                   {}, // FHIR's bound would include 5
		">1.5":                                 {},
		"[ < 4.5]":                             {},
		"92-49":                                {},
		"5-5":                                  {},
		"9.5-10":                               {"9.5", "10"},
		"0.10-0.9":                             {"0.10", "0.9"},
		"1-2-3":                                {},
		"[1-2":                                 {},
		"1 to 5":                               {},
		"01-05":                                {},
		".5-1":                                 {},
		"1,000-2,000":                          {},
		"1e3-1e4":                              {},
		"Negative":                             {},
		"65-99^65^99":                          {},
		"":                                     {},
		"-":                                    {},
		"M: 13-17, F: 12-16":                   {},
		"3.5 - 5.0 mmol/L":                     {},
		"2026-01-31":                           {},
		"≤5":                                   {},
		"10-100000000000000000000000000000001": {"10", "100000000000000000000000000000001"},
	} {
		if low, high := limits(text); string(low) != want[0] || string(high) != want[1] {
			t.Errorf("limits(%q) = %q, %q, want %q", text, low, high, want)
		}
	}
}

// FuzzLimits: a bound is always a part of the text, and the lower one first.
func FuzzLimits(f *testing.F) {
	for _, s := range []string{"49 - 92", "[ 0.38 - 0.52 ]", "<5", ">=60", "-2 - 2", "1e5-2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		low, high := limits(text)
		if !strings.Contains(text, string(low)) || !strings.Contains(text, string(high)) {
			t.Errorf("limits(%q) = %q, %q", text, low, high)
		}
		if low != "" && high != "" && !less(low, high) {
			t.Errorf("limits(%q): %s is not below %s", text, low, high)
		}
	})
}

func TestEncapsulated(t *testing.T) {
	pdf := base64.StdEncoding.EncodeToString([]byte("%PDF-1.7 x"))
	for _, c := range []struct{ typ, subtype, encoding, data, mime, want string }{
		{"application", "pdf", "Base64", pdf, "application/pdf", "%PDF-1.7 x"},
		{"AP", "Octet-stream", "Base64", pdf, "application/pdf", "%PDF-1.7 x"}, // its first bytes decide
		{"", "pdf", "base64", strings.TrimRight(pdf, "="), "application/pdf", "%PDF-1.7 x"},
		{"", "pdf", "", pdf, "application/pdf", "%PDF-1.7 x"},
		{"", "pdf", "base64", pdf[:8] + "\r\n " + pdf[8:], "application/pdf", "%PDF-1.7 x"},
		{"TEXT", "", "A", "plain", "text/plain; charset=utf-8", "plain"},
		{"text", "html", "A", "<p>", "text/html; charset=utf-8", "<p>"},
		{"", "rtf", "", `{\rtf1 x}`, "application/rtf", `{\rtf1 x}`},
		{"", "txt", "", "Grüße", "text/plain; charset=utf-8", "Grüße"},
		{"", "txt", "base64", base64.StdEncoding.EncodeToString([]byte("Gr\xfc\xdfe")), "text/plain", "Gr\xfc\xdfe"}, // not UTF-8: its charset is not known
		{"application", "pdf", "Base64", "<encoded>", "text/plain; charset=utf-8", "<encoded>"},
		{"application", "pdf", "A", "no pdf", "text/plain; charset=utf-8", "no pdf"},
		{"image", "x-odd", "hex", "00 ff", "image/x-odd", "\x00\xff"},
		{"image", "x-odd", "hex", "zz", "text/plain; charset=utf-8", "zz"},
		{"nonsense", "NS", "Base64", "AAEC", "application/octet-stream", "\x00\x01\x02"},
		{"application", `a"b`, "Base64", "AAEC", "application/octet-stream", "\x00\x01\x02"},
		{"application", "pdf", "Base64", "", "", ""},
	} {
		a := encapsulated(c.typ, c.subtype, c.encoding, c.data)
		b, err := base64.StdEncoding.DecodeString(a.data)
		if err != nil || a.mime != c.mime || string(b) != c.want || a.size != len(b) {
			t.Errorf("encapsulated(%q, %q, %q, %q) = %s %q (%d), %v", c.typ, c.subtype, c.encoding, c.data, a.mime, b, a.size, err)
		}
	}
}

// FuzzEncapsulated: whatever is sent becomes valid base64 of a media type, and
// text that is not decoded keeps its bytes.
func FuzzEncapsulated(f *testing.F) {
	f.Add("application", "pdf", "Base64", "JVBERi0xLjQ=")
	f.Add("", "txt", "", "text")
	f.Fuzz(func(t *testing.T, typ, subtype, encoding, data string) {
		a := encapsulated(typ, subtype, encoding, data)
		b, err := base64.StdEncoding.DecodeString(a.data)
		if err != nil || a.size != len(b) || a.data != "" && !strings.Contains(a.mime, "/") {
			t.Errorf("%+v, %v", a, err)
		}
		if strings.ContainsAny(a.mime, "\r\n\"<>") {
			t.Errorf("media type %q", a.mime)
		}
	})
}

func TestIsCommunication(t *testing.T) {
	say := func(text string) *r4.CodeableConcept { return &r4.CodeableConcept{Text: &text} }
	for _, s := range []string{"Telephone encounter note", "PHONE-NOTE", "Patient Message", "Secure messaging", "Patient e-mail", "Entretien téléphonique du 3 mai", "Mensaje del paciente"} {
		if !isCommunication(say(s)) {
			t.Errorf("%q is one", s)
		}
	}
	for _, s := range []string{"Provider phone number post discharge", "Discharge summary", "Corps du mail pour un PS", "Message", "Headphone notes", "Microphone call", ""} {
		if isCommunication(say(s)) {
			t.Errorf("%q is none", s)
		}
	}
	code := func(system, code string) *r4.CodeableConcept { return one(fixed(system, code, "")) }
	if !isCommunication(code("http://loinc.org", telephoneNote)) || isCommunication(code("urn:other", telephoneNote)) || isCommunication(nil) {
		t.Error("LOINC's code is read with its system")
	}
}

func TestMinutes(t *testing.T) {
	for unit, want := range map[string]int{"min": 30, "Minutes": 30, "MIN": 30, "m": 30, "s": 0, "h": 30 * 60, "": 0, "mo": 0} {
		_, f := field(t, nil, unit)
		if n := minutes("30", first(f)); (n == nil) != (want == 0) || n != nil && *n != want {
			t.Errorf("30 %q: %v", unit, n)
		}
	}
	_, f := field(t, nil, "min")
	if minutes("0", first(f)) != nil || minutes("x", first(f)) != nil {
		t.Error("no number of minutes")
	}
	_, f = field(t, nil, "s")
	if n := minutes("120", first(f)); n == nil || *n != 2 {
		t.Errorf("120 s: %v", n)
	}
}
