package mapping

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/internal/corpus"
)

var updating = flag.Bool("update", false, "rewrite golden files and codes.tsv")

// leftOut are maps of message structures, not of content, or of whole
// vocabularies that pass through unchanged.
var leftOut = map[string]bool{"MessageStructure": true, "EventType": true, "CountryCode": true}

// TestTables holds codes.tsv against the guide it was made from.
func TestTables(t *testing.T) {
	dir := filepath.Join(corpus.Dir(t), "corpus", "v2-to-fhir-maps", "codesystems")
	files, err := filepath.Glob(filepath.Join(dir, "HL7 Concept Map_ *.csv"))
	if err != nil || len(files) < 90 {
		t.Fatalf("%d concept maps in %s, %v", len(files), dir, err)
	}
	var out bytes.Buffer
	for _, name := range files {
		rows := corpus.Sheet(t, name)
		table := strings.TrimPrefix(filepath.Base(name), "HL7 Concept Map_ ")
		table = strings.TrimSuffix(table, " - Sheet1.csv")
		if leftOut[table] {
			continue
		}
		for _, row := range rows[min(2, len(rows)):] {
			row = append(row, make([]string, 10)...)
			for i := range row {
				row[i] = strings.Join(strings.Fields(row[i]), " ")
			}
			v2, code, display, system := row[0], row[6], row[8], row[9]
			if system == "" && strings.HasPrefix(row[8], "http") { // two files lack a column
				display, system = row[7], row[8]
			}
			if display == "" { // two have it in the column before
				display = row[7]
			}
			if v2 == "" || code == "" || system == "http://snomed.info/sct" {
				continue
			}
			source := ""
			if n, ok := strings.CutPrefix(row[2], "HL7"); ok && len(n) == 4 {
				source = n
			}
			out.WriteString(strings.Join([]string{table, v2, source, code, display, system}, "\t") + "\n")
		}
	}
	if *updating {
		if err := os.WriteFile("codes.tsv", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if out.String() != tables {
		t.Errorf("codes.tsv differs from the guide; run go test ./mapping -run TestTables -update")
	}
}
