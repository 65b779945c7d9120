package corpus

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Read gives a file's bytes, unpacked when it is a gzip file.
func Read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil && bytes.HasPrefix(b, []byte("\x1f\x8b")) {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			b, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatalf("corpus: %s: %v", file, err)
	}
	return b
}

// Lines gives the lines of a file, NDJSON say, that are not empty.
func Lines(t testing.TB, file string) (all [][]byte) {
	t.Helper()
	for line := range bytes.Lines(Read(t, file)) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			all = append(all, line)
		}
	}
	return all
}

// FHIR gives every resource of corpus/fhir as published, one JSON object each,
// by file name; Bundles are whole.
func FHIR(t testing.TB) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob(Dir(t, "corpus", "fhir", "*.ndjson.gz"))
	if err != nil || len(files) == 0 {
		t.Fatal("corpus: no resources in corpus/fhir")
	}
	all := map[string][][]byte{}
	for _, file := range files {
		all[filepath.Base(file)] = Lines(t, file)
	}
	return all
}

// HL7 names every file of corpus/hl7v2 that holds HL7 v2 messages.
func HL7(t testing.TB) (files []string) {
	t.Helper()
	err := filepath.WalkDir(Dir(t, "corpus", "hl7v2"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(e.Name(), ".fhir") && !strings.HasSuffix(path, ".json") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("corpus: no messages in corpus/hl7v2: %v", err)
	}
	return files
}

// Stream gives Simulated Hospital's HL7 v2 messages in the order they were
// sent. Empty lines part them in the file; each ends in one CR.
func Stream(t testing.TB) (all [][]byte) {
	t.Helper()
	for m := range bytes.SplitSeq(Read(t, Dir(t, "corpus", "hl7v2", "simhospital", "stream.hl7.gz")), []byte("\n\n")) {
		if m = bytes.Trim(m, "\r\n"); len(m) > 0 {
			all = append(all, append(bytes.Clone(m), '\r'))
		}
	}
	return all
}

// CCDA is every C-CDA document of the corpus by its path there.
func CCDA(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(Dir(t, "corpus", "ccda", "*", "*.xml"))
	if err != nil || len(files) < 22 {
		t.Fatalf("%d documents: %v", len(files), err)
	}
	all := map[string][]byte{}
	for _, name := range files {
		all[filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name)] = Read(t, name)
	}
	return all
}

// Sheet reads a table of CSV, rows of any length.
func Sheet(t testing.TB, file string) [][]string {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(Read(t, file), []byte("\ufeff"))))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatalf("corpus: %s: %v", file, err)
	}
	return rows
}
