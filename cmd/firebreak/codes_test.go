package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebreak/demo"
	"firebreak/demo/demotest"
	"firebreak/label"
)

const localMessage = "MSH|^~\\&|LAB|GENERAL|||20260301120000||ORU^R01|M1|P|2.5.1\rPID|1||1001^^^HERE^MR||Roe^Jane||19700101|F\rOBR|1||F1|QX7^Set 7^LAB|||20260301120000|||||||||||||||20260301120000|||F\rOBX|1|ST|QX8^Part 8^LAB||value of a patient||||||F\r"

// The codes of a laboratory that nobody knows are listed, beside the running
// gateway; decisions are taken in, and the same without one. No value of a
// patient is in the list.
func TestLocalCodesAreClassified(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	d := demotest.Start(t, demo.Options{Empty: true, Data: data, Config: write(t, filepath.Join(dir, "demo.json"), feedConfig("HERE"))})
	d.Send(t, 1, []byte(localMessage))

	list := expect(t, 0, "class,source,system,code,display,element,uses,found,latest,decided,by\n", "", "codes", "--data", data)
	for _, want := range []string{",general-hospital,", ",QX7,Set 7,DiagnosticReport.code,1,", ",QX8,Part 8,Observation.code,1,"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in %s", want, list)
		}
	}
	if strings.Contains(list, "value of a patient") {
		t.Errorf("a patient's value: %s", list)
	}
	decided := strings.NewReplacer("\n,", "\nharmless,").Replace(list)
	decided = strings.Replace(decided, "harmless,", "hiv sti,", 1)
	file := write(t, filepath.Join(dir, "codes.csv"), decided)
	expect(t, 0, "2 decided, 0 of them on codes that were not met", "", "codes", "--data", data, "--import", file)
	expect(t, 0, "0 decided", "", "codes", "--data", data, "--import", file)
	list = expect(t, 0, "\nhiv sti,", "", "codes", "--data", data)
	if !strings.Contains(list, "\nharmless,") || !strings.Contains(list, ",operator ") {
		t.Error(list)
	}
	d.Stop()

	config := serveConfig(t, dir, data, "HERE")
	if again := expect(t, 0, "\nhiv sti,", "", "codes", "--config", config); again != list {
		t.Errorf("without a gateway the list is %s, was %s", again, list)
	}
	file = write(t, file, "class,source,system,code,display\nharmless,general-hospital,,NEW,New test\n")
	expect(t, 0, "1 decided, 1 of them on codes that were not met", "", "codes", "--config", config, "--import", file)
}

// FuzzDecisions: whatever a list says, what it decides is a class there is, on a
// code that names its source.
func FuzzDecisions(f *testing.F) {
	f.Add("class,source,system,code,display\nharmless,lab,urn:lab,QX7,Panel 7\n\"hiv sti\",lab,,,\"a, b\"\n")
	f.Add("\xef\xbb\xbfSource,code,class,display,system\nlab,x,,,\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := readDecisions("list", strings.NewReader(text))
		if err != nil && len(all) > 0 {
			t.Error("half a list")
		}
		for _, d := range all {
			if d.Source == "" || d.Code.Code == "" && d.Display == "" {
				t.Errorf("a decision on nothing: %+v", d)
			}
			for _, l := range d.Labels {
				if !slices.Contains(label.Classes(), l) {
					t.Errorf("a class that is none: %q", l)
				}
			}
		}
	})
}
