package hl7

import (
	"strings"
	"unicode/utf8"
)

// decodeWide turns UTF-16 or UTF-32 into UTF-8.
func decodeWide(s, kind string) (string, bool) {
	text, err := wide[kind].NewDecoder().String(s)
	return text, err == nil && !strings.ContainsRune(text, utf8.RuneError)
}

// encodeWide is its inverse, with a byte order mark.
func encodeWide(s, kind string) (string, bool) {
	text, err := wide[kind].NewEncoder().String(s)
	return text, err == nil
}
