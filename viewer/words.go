package viewer

import (
	"bufio"
	"embed"
	"fmt"
	"strings"
)

//go:embed text/*.txt
var textFiles embed.FS

// words is the catalogue of one language: every text the pages say, by key.
type words map[string]string

// readWords reads a catalogue: "key = text" lines, "#" comments; a line that
// begins with space continues the one before.
func readWords(language string) (words, error) {
	name := "text/" + language + ".txt"
	f, err := textFiles.Open(name)
	if err != nil {
		return nil, fmt.Errorf("viewer: catalogue: %w", err)
	}
	defer f.Close()
	w := words{}
	last := ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
			continue
		case line[0] == ' ' && last != "":
			w[last] += " " + strings.TrimSpace(line)
			continue
		}
		key, text, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if _, double := w[key]; !ok || key == "" || double {
			return nil, fmt.Errorf("viewer: %s line %d: not a new key", name, n)
		}
		w[key], last = strings.TrimSpace(text), key
	}
	return w, lines.Err()
}

// say is the text of a key with args put in. A missing key is a fault of the
// program that tests find; a page then shows the key rather than nothing.
func (w words) say(key string, args ...any) string {
	text, ok := w[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// or is the text of a key, or other when there is none: for codes that sources
// send and may invent.
func (w words) or(key, other string) string {
	if text, ok := w[key]; ok {
		return text
	}
	return other
}
