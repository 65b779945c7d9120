package mapping

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"firebreak/fhir"
)

// attached is the content of one document, ready to become a Binary.
type attached struct {
	mime string // a media type, never empty where there is data
	data string // base64, standard alphabet, padded; empty where only the type was sent
	size int    // bytes of the content itself
	url  string // of an RP: where the sender keeps the content
}

func (a attached) isZero() bool { return a.data == "" && a.url == "" }

// text is the content where it is prose that a string of FHIR may hold.
func (a attached) text() (string, bool) {
	if !strings.HasPrefix(a.mime, "text/plain") {
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(a.data)
	return string(b), err == nil && utf8.Valid(b) && !strings.ContainsFunc(string(b), isControl)
}

// textContent is text as a document.
func textContent(s string) attached {
	return content([]byte(s), "text/plain; charset=utf-8")
}

func content(b []byte, declared string) attached {
	if len(b) == 0 {
		return attached{}
	}
	if known := sniff(b); known != "" {
		declared = known
	}
	if declared == "text/plain" && utf8.Valid(b) {
		declared = "text/plain; charset=utf-8"
	}
	return attached{mime: declared, data: base64.StdEncoding.EncodeToString(b), size: len(b)}
}

// encapsulated reads the parts of an ED (v2.9 2A.2.24): type of data (table
// 0191), subtype (table 0291), encoding (table 0299) and the data.
//
// Base64 and hexadecimal are taken where they decode, base64 also without its
// padding; what does not decode is kept as the text that was sent. The first
// bytes decide over the declared type: HL7's map advises to look, for senders
// are not accurate.
func encapsulated(typ, subtype, encoding, data string) attached {
	declared := mediaType(typ, subtype)
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		if b, ok := fromBase64(data); ok {
			return content(b, cmp.Or(declared, "application/octet-stream"))
		}
		return textContent(data)
	case "hex":
		if b, err := hex.DecodeString(strings.Join(strings.Fields(data), "")); err == nil {
			return content(b, cmp.Or(declared, "application/octet-stream"))
		}
		return textContent(data)
	}
	if b, ok := encoded(data); ok { // its encoding was left out
		return content(b, "")
	}
	switch {
	case strings.HasPrefix(declared, "text/"):
		return content([]byte(data), declared+"; charset=utf-8")
	case sniff([]byte(data)) != "":
		return content([]byte(data), "")
	}
	return textContent(data)
}

// pointer reads an RP. A path that would read as the address of a resource of
// ours is none, and is kept as text.
//
// Source: v2-to-FHIR, RP[Attachment].
func pointer(rp data) attached {
	url := rp.at(1)
	if _, ours := fhir.ParseRef(url); ours || strings.ContainsFunc(url, unicode.IsSpace) {
		return textContent(url)
	}
	return attached{url: url, mime: mediaType(rp.at(3), rp.at(4))}
}

// fromBase64 decodes base64 with or without padding, blanks and line ends.
func fromBase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, " \t\r\n") {
		s = strings.Join(strings.Fields(s), "")
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return b, err == nil && len(b) > 0
}

// encoded decodes base64 that nobody declared, if what it holds is a format
// that its first bytes tell.
func encoded(s string) ([]byte, bool) {
	const head = 12 // of base64: nine bytes, more than any signature
	if len(s) < head {
		return nil, false
	}
	if b, err := base64.RawStdEncoding.DecodeString(s[:head]); err != nil || sniff(b) == "" {
		return nil, false
	}
	return fromBase64(s)
}

// signatures are the first bytes of formats that arrive in messages.
var signatures = []struct{ prefix, mime string }{
	{"%PDF-", "application/pdf"},
	{`{\rtf`, "application/rtf"},
	{"\x89PNG\r\n\x1a\n", "image/png"},
	{"\xff\xd8\xff", "image/jpeg"},
	{"GIF8", "image/gif"},
	{"II*\x00", "image/tiff"},
	{"MM\x00*", "image/tiff"},
}

func sniff(b []byte) string {
	for _, s := range signatures {
		if len(b) >= len(s.prefix) && string(b[:len(s.prefix)]) == s.prefix {
			return s.mime
		}
	}
	return ""
}

// subtypes are media types of the subtypes in use, those of table 0291 and
// file extensions, in lower case.
var subtypes = map[string]string{
	"pdf": "application/pdf", "rtf": "application/rtf", "text/rtf": "application/rtf",
	"txt": "text/plain", "text": "text/plain", "plain": "text/plain", "tx": "text/plain", "ft": "text/plain",
	"html": "text/html", "xml": "text/xml", "x-hl7-cda-level-one": "text/xml",
	"jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "gif": "image/gif",
	"tiff": "image/tiff", "tif": "image/tiff",
	"octet-stream": "application/octet-stream", "dicom": "application/dicom",
	"doc": "application/msword", "msword": "application/msword",
	"json": "application/json", "basic": "audio/basic",
}

// topLevel are the top-level media types (RFC 6838), and what table 0191 and
// senders call them.
var topLevel = map[string]string{
	"application": "application", "ap": "application", "text": "text", "tx": "text", "ft": "text",
	"image": "image", "im": "image", "audio": "audio", "au": "audio", "video": "video",
	"multipart": "multipart", "si": "image", "ns": "image",
}

// mediaType is the media type that type and subtype declare; empty when they
// declare none that can be told.
func mediaType(typ, subtype string) string {
	t, s := strings.ToLower(strings.TrimSpace(typ)), strings.ToLower(strings.TrimSpace(subtype))
	if m := subtypes[s]; m != "" {
		return m
	}
	if top := topLevel[t]; top != "" && isToken(s) {
		return top + "/" + s
	}
	if s == "" {
		return subtypes[t]
	}
	return ""
}

// isToken: a restricted name of RFC 6838 4.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || i > 0 && strings.IndexByte("!#$&-^_.+", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) < 128 && utf8.ValidString(s)
}
