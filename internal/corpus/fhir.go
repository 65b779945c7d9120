package corpus

import (
	"bufio"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// FHIR gives every resource of corpus/fhir as published, one JSON object each,
// by file name; Bundles are whole.
func FHIR(t testing.TB) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob(Dir(t, "corpus", "fhir", "*.ndjson.gz"))
	if err != nil || len(files) == 0 {
		t.Fatal("corpus: no resources in corpus/fhir")
	}
	all := map[string][][]byte{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			if len(lines.Bytes()) > 0 {
				all[filepath.Base(name)] = append(all[filepath.Base(name)], append([]byte(nil), lines.Bytes()...))
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
