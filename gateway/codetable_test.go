package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/inbox"
	"firebreak/mapping"
)

// A laboratory's list as it exports it is a table of the dialect: by the columns
// that the dialect names, with others among them; a row that nobody has decided on
// leaves the sender's code.
func TestCodeTableOfACSVFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const rule = "OBX-3 through tests\n"
	mapped := func(path, code string) string {
		t.Helper()
		d, err := ReadDialect(path)
		if err != nil {
			t.Fatal(err)
		}
		m := inbox.Message{Source: "lab", Kind: inbox.HL7v2, Body: []byte("MSH|^~\\&|L|A|||20260301||ORU^R01|1|P|2.5\rPID|1||1^^^A^MR\rOBR|1||F1|" + code + "^^L\rOBX|1|NM|" + code + "^^L||140||||||F\r")}
		result, err := mapping.Map(mapping.NewKeys([]byte("keys of this test, long enough to be"), mapping.Feed{Source: "lab", Dialect: d}), m)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range result.Resources {
			if r.Resource.Type() == "Observation" {
				return string(r.Resource.JSON())
			}
		}
		t.Fatal("no result")
		return ""
	}
	file("tests.csv", "\ufeffGroup;Local;Name;LOINC\r\nblood;NA;\"Sodium, serum\";2951-2\r\nblood;XX;;\r\n")
	byCSV := file("csv.txt", "dialect lab\n"+rule+"table tests from tests.csv: Local -> LOINC | Name | =http://loinc.org # their list\n")
	byHand := file("hand.txt", "dialect lab\n"+rule+"table tests\n\tNA -> 2951-2 | \"Sodium, serum\" | http://loinc.org\n")
	for _, code := range []string{"NA", "XX", "YY"} {
		if got, want := mapped(byCSV, code), mapped(byHand, code); got != want {
			t.Errorf("%s by the file: %s\nby hand: %s", code, got, want)
		}
	}
	if got := mapped(byCSV, "NA"); !strings.Contains(got, `"code":"2951-2"`) || !strings.Contains(got, "http://loinc.org") {
		t.Errorf("NA is %s", got)
	}

	for name, row := range map[string]struct{ table, from, want string }{
		"no such file":       {"", "absent.csv: Local -> LOINC", "d.txt line 2: stat"},
		"outside the folder": {"", "../tests.csv: Local -> LOINC", "d.txt line 2: the file of a table lies"},
		"no such column":     {"Local,Name\n", "t.csv: Local -> LOINC", `d.txt line 2: t.csv has no column "LOINC"`},
		"no arrow":           {"Local,LOINC\n", "t.csv: Local LOINC", "d.txt line 2: the columns of a table"},
		"too many columns":   {"a,b\n", "t.csv: a -> b | a | b | a", "d.txt line 2: the columns of a table"},
		"a bar in a cell":    {"a,b\n1,2\n3,4|5\n", "t.csv: a -> b", "d.txt line 2: t.csv line 3: a cell with"},
		"an open quote":      {"a,b\n1,\"2\n", "t.csv: a -> b", "d.txt line 2: t.csv line "},
		"nothing of theirs":  {"a,b\n,2\n", "t.csv: a -> b", "t.csv line 2: no code of theirs"},
		"a code twice":       {"a,b\n1,2\n1,3\n", "t.csv: a -> b", "t.csv line 3: 1 is there twice"},
		"empty":              {"", "t.csv: a -> b", "d.txt line 2: t.csv: its first line"},
	} {
		file("t.csv", row.table)
		_, err := ReadDialect(file("d.txt", "dialect lab\ntable tests from "+row.from+"\n"+rule))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
	file("t.csv", "a,b\n1,2\n")
	if _, err := ReadDialect(file("d.txt", "dialect lab\ntable tests from t.csv: a -> b\nOBX-3 over tests\n")); err == nil || !strings.HasPrefix(err.Error(), "d.txt line 3: ") {
		t.Errorf("a line below the table: %v", err)
	}
}
