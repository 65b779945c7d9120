package clinical

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

var catalogue = sync.OnceValues(func() (map[string]string, error) {
	b, err := os.ReadFile("../text/en.txt")
	all := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if key, text, ok := strings.Cut(line, " = "); ok {
			all[key] = strings.TrimSpace(text)
		}
	}
	return all, err
})

// english are the words of the pages; a key without a text fails the test.
func english(t testing.TB) Words {
	words, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	return func(key string, args ...any) string {
		text, ok := words[key]
		if !ok {
			t.Errorf("there is no text %q", key)
		}
		if len(args) == 0 {
			return text
		}
		return fmt.Sprintf(text, args...)
	}
}
