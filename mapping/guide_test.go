package mapping_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebreak/internal/corpus"
)

// row is one row of a map of HL7's v2-to-FHIR guide that names a FHIR element.
type row struct {
	table     string // the map: "PID[Patient]", "XPN[HumanName]"
	id        string // what is mapped: "PID-3", "XPN.4", "ADT_A01.PID"
	typ       string // its HL7 data type
	condition string // in the guide's own notation
	target    string // the FHIR element: "identifier[2].value"
	kind      string // its FHIR data type
	by, codes string // the data type map and the concept map for it
	literal   string // the value the guide assigns, without quotes
	n         int    // which of its key, from 1
}

// key names a row within its map.
func (r row) key() string {
	s := strings.Join(strings.Fields(r.id+" "+r.target), " ")
	if r.n > 1 {
		s += fmt.Sprint(" #", r.n)
	}
	return s
}

// guide reads a folder of the guide. Row keys are unique within a map.
func guide(t testing.TB, folder string) []row {
	t.Helper()
	dir := filepath.Join(corpus.Dir(t), "corpus", "v2-to-fhir-maps", folder)
	files, err := filepath.Glob(filepath.Join(dir, "HL7 *.csv"))
	if err != nil || len(files) == 0 {
		t.Fatal("no tables in", dir, err)
	}
	var all []row
	for _, file := range files {
		table := regexp.MustCompile(`FHIR R4_ (.*) - [^-]*\.csv$`).FindStringSubmatch(filepath.Base(file))[1]
		seen := map[string]int{}
		for _, c := range records(t, file) {
			r := row{table: table, id: c[1], typ: c[3], condition: c[6], target: c[9], kind: c[11], by: c[14], codes: c[15], literal: c[16]}
			switch folder {
			case "messages": // Identifier, Syntax, Name, cardinality, condition, Primary Target, Segment Map
				r = row{table: table, id: c[1], typ: c[2], condition: c[6], target: c[9], by: c[10]}
			}
			if len(r.literal) > 1 && strings.HasPrefix(r.literal, `"`) && strings.HasSuffix(r.literal, `"`) {
				r.literal = strings.Trim(r.literal, `"`)
			}
			if r.target == "" {
				continue // knowingly not mapped
			}
			seen[r.key()]++
			r.n = seen[r.key()]
			all = append(all, r)
		}
	}
	return all
}

// mapless are the segments that the guide's messages name and that it maps in none.
func mapless(t testing.TB) []string {
	t.Helper()
	named := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(corpus.Dir(t), "corpus", "v2-to-fhir-maps", "messages", "HL7 *.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, c := range records(t, file) {
			if seg := c[1][strings.LastIndexByte(c[1], '.')+1:]; strings.Contains(c[1], ".") && len(seg) == 3 {
				named[seg] = named[seg] || c[9] != ""
			}
		}
	}
	maps.DeleteFunc(named, func(_ string, mapped bool) bool { return mapped })
	return slices.Sorted(maps.Keys(named))
}

// records reads a table without its two rows of headings, blanks in cells made
// single, each row with 20 cells at least.
func records(t testing.TB, file string) [][]string {
	t.Helper()
	rows := corpus.Sheet(t, file)
	rows = rows[min(2, len(rows)):]
	for i, cells := range rows {
		cells = append(cells, make([]string, 20)...)
		for j := range cells {
			cells[j] = strings.Join(strings.Fields(cells[j]), " ")
		}
		rows[i] = cells
	}
	return rows
}

// said by us of a row: how it is shown to be implemented where its condition
// cannot be read, or why it is not.
type remark struct {
	verb, text string
	used       bool
}

// remarks reads testdata/coverage.tsv: map, row, verb and text, tab between.
//
//	not    the text says why the row is not implemented
//	with   the text sets fields besides, or takes segments out: "OBX-2=NM;
//	       OBX-5=17.5; without SPM", and may say after "=>" what the element must hold
//
// The map "-" holds the segments of which the guide has none. A row "*" speaks of all rows of its map that have no line of their own, and
// only of those that are not implemented; of a segment's map also of the messages
// that use it.
func remarks(t testing.TB) map[string]*remark {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "coverage.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*remark{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(line, "\t")
		if len(c) != 4 || c[3] == "" || c[2] != "not" && c[2] != "with" {
			t.Fatalf("coverage.tsv: %q is not map, row, verb and text", line)
		}
		k := c[0] + "\t" + c[1]
		if all[k] != nil {
			t.Errorf("coverage.tsv: %q twice", k)
		}
		all[k] = &remark{verb: c[2], text: c[3]}
	}
	return all
}

// TestGuide holds every row of HL7's v2-to-FHIR maps of segments, data types and
// messages that names a FHIR element: it is implemented, which a message made for
// the row shows, or testdata/coverage.tsv says why not. So it is with each segment
// that the guide's messages hold and that it has no map of. What that file says of a
// row that is implemented after all, or that is not in the guide, is an error.
func TestGuide(t *testing.T) {
	said := remarks(t)
	p := newProbe(t)
	done, of := map[string]int{}, map[string]int{}
	check := func(folder string, r row, implemented func(row, string) string) {
		where := folder + " " + r.table
		of[where]++
		own, all := said[r.table+"\t"+r.key()], said[r.table+"\t*"]
		if folder == "message" && all == nil { // what is said of a segment's map holds for each message it is used in
			all = said[r.by+"\t*"]
		}
		with := ""
		if own != nil && own.verb == "with" {
			with = own.text
		}
		why := implemented(r, with)
		switch {
		case why == "" && own != nil && own.verb == "not":
			t.Errorf("%s\t%s\tis implemented: coverage.tsv says it is not", r.table, r.key())
		case why == "":
			done[where]++
		case own != nil && own.verb == "not":
		case own == nil && all != nil:
			all.used = true
		default:
			t.Errorf("%s\t%s\t%s", r.table, r.key(), why)
		}
		if own != nil {
			own.used = true
		}
	}
	for _, r := range guide(t, "segments") {
		check("segment", r, p.segment)
	}
	for _, r := range guide(t, "datatypes") {
		check("data type", r, p.datatype)
	}
	for _, r := range guide(t, "messages") {
		check("message", r, p.message)
	}
	for _, seg := range mapless(t) {
		own := said["-\t"+seg]
		if own != nil {
			own.used = true
		}
		switch reads := p.reads(t, seg); {
		case reads && own != nil:
			t.Errorf("-\t%s\tis read: coverage.tsv says it is not", seg)
		case !reads && own == nil:
			t.Errorf("-\t%s\tis in the guide's messages, and nothing tells why it is not read", seg)
		}
	}
	for k, r := range said {
		if !r.used {
			t.Errorf("coverage.tsv: %q is no row of the guide that lacks", k)
		}
	}
	sum := map[string][2]int{}
	for _, where := range slices.Sorted(maps.Keys(of)) {
		t.Logf("%3d of %3d rows: %s", done[where], of[where], where)
		folder := where[:strings.LastIndexByte(where, ' ')]
		sum[folder] = [2]int{sum[folder][0] + done[where], sum[folder][1] + of[where]}
	}
	for _, folder := range slices.Sorted(maps.Keys(sum)) {
		t.Logf("%d of %d rows of the %s maps are implemented, the others are not for a reason that is given", sum[folder][0], sum[folder][1], folder)
	}
}
