package r4def_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"firebreak/internal/corpus"
)

var examplesFolder = flag.String("examples", "", "check this unpacked hl7.fhir.r4.examples package instead of testdata/examples.ndjson.gz")

// examples are the official R4 examples, one resource each.
func examples(t testing.TB) (all [][]byte) {
	t.Helper()
	if *examplesFolder != "" {
		names, _ := filepath.Glob(filepath.Join(*examplesFolder, "*.json"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if base := filepath.Base(name); base != "package.json" && base != ".index.json" {
				all = append(all, bytes.TrimPrefix(b, []byte("\ufeff")))
			}
		}
		return all
	}
	return corpus.Lines(t, "testdata/examples.ndjson.gz")
}
