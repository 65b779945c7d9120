package ccda_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"firebreak/adapters/ccda"
	"firebreak/internal/corpus"
)

const begin = `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">`

func document(inside string) []byte { return []byte(begin + inside + "</ClinicalDocument>") }

func TestEveryDocumentOfTheCorpusIsReadOrRefusedForWhatItIs(t *testing.T) {
	refused := map[string]string{ // a part of a document, without namespace or header
		"hl7-examples/Planned_Encounter_Referral.xml": "ccda: line 13: not a ClinicalDocument of urn:hl7-org:v3",
	}
	for name, b := range corpus.CCDA(t) {
		d, err := ccda.Parse(b)
		if refused[name] != "" {
			if err == nil || err.Error() != refused[name] {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !ccda.Is(b) || len(d.Patients()) != 1 || d.Code().Code == "" || d.Time() == "" {
			t.Errorf("%s: no whole header", name)
		}
		if len(d.Sections()) == 0 && d.NonXML() == nil && !strings.Contains(name, "Direct-Address") && !strings.Contains(name, "Consult-Document") {
			t.Errorf("%s: no body", name)
		}
		p, err := ccda.Patient(b)
		if err != nil || ccda.Text(p) != ccda.Text(d.Patients()[0]) {
			t.Errorf("%s: Patient differs from Parse's: %v", name, err)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	deep := strings.Repeat("<component>", ccda.MaxDepth) + strings.Repeat("</component>", ccda.MaxDepth)
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"a DOCTYPE":                 {[]byte(`<!DOCTYPE x>` + begin + `</ClinicalDocument>`), "ccda: line 1: a document type declaration is not taken"},
		"an entity bomb":            {[]byte("<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY a \"secret\"><!ENTITY b \"&a;&a;\">]>" + begin + "&b;</ClinicalDocument>"), "ccda: line 2: a document type declaration is not taken"},
		"an external entity":        {[]byte(`<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + begin + "&a;</ClinicalDocument>"), "ccda: line 1: a document type declaration is not taken"},
		"an entity nobody knows":    {document("<title>&secret;</title>"), "ccda: line 1: /ClinicalDocument/title: not well-formed XML"},
		"what is too deep":          {document(deep), "deeper than 100 levels"},
		"what is too large":         {bytes.Repeat([]byte(" "), ccda.MaxSize+1), "ccda: larger than 24 MB"},
		"too many elements":         {document(strings.Repeat("<id/>", 1<<20)), "ccda: more elements than a document has"},
		"too many attributes":       {document(`<id ` + strings.Repeat(`a="" `, 1<<20) + `/>`), "ccda: more elements than a document has"},
		"many attributes in one":    {document(`<id ` + strings.Repeat(`aaaaa="" `, 65) + `/>`), "ccda: line 1: /ClinicalDocument: an element with more than 64 attributes"},
		"an attribute twice":        {document(`<id root="1" root="2"/>`), "ccda: line 1: /ClinicalDocument: an attribute twice in one element"},
		"a prefix nobody declared":  {document(`<x:id/>`), "ccda: line 1: /ClinicalDocument: a prefix that is not declared"},
		"an undeclared attribute":   {document("\n<id x:root='1'/>"), "ccda: line 2: /ClinicalDocument: a prefix that is not declared"},
		"another end":               {document(`<id><code></id></code>`), "ccda: line 1: /ClinicalDocument/id/code: an end tag that ends nothing"},
		"an end in another case":    {[]byte(begin + "</clinicalDocument>"), "ccda: line 1: /ClinicalDocument: an end tag that ends nothing"},
		"no end":                    {[]byte(begin + "<id>"), "ccda: line 1: /ClinicalDocument/id: ends before its elements do"},
		"two documents":             {append(document(""), document("")...), "ccda: line 1: a second element beside the document"},
		"words after it":            {append(document(""), "secret"...), "ccda: line 1: text outside of the document"},
		"another root":              {[]byte(`<Bundle xmlns="urn:hl7-org:v3"/>`), "ccda: line 1: not a ClinicalDocument of urn:hl7-org:v3"},
		"another namespace":         {[]byte(`<ClinicalDocument xmlns="urn:hl7-org:v2"/>`), "ccda: line 1: not a ClinicalDocument of urn:hl7-org:v3"},
		"nothing":                   {nil, "ccda: no element"},
		"JSON":                      {[]byte(`{"secret":1}`), "ccda: line 1: text outside of the document"},
		"bad UTF-8":                 {document("<title>\xff</title>"), "ccda: line 1: /ClinicalDocument/title: not well-formed XML"},
		"a character set of nobody": {append([]byte(`<?xml version="1.0" encoding="secret"?>`), document("")...), "ccda: line 1: its character set is not known"},
	} {
		_, err := ccda.Parse(c.b)
		var at *ccda.Error
		if !errors.As(err, &at) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the document", name)
		}
	}
}

func TestCharacterSets(t *testing.T) {
	body := begin + "<title>Müller – élève</title></ClinicalDocument>"
	latin, _ := charmap.Windows1252.NewEncoder().Bytes([]byte(`<?xml version="1.0" encoding="windows-1252"?>` + body))
	wide, _ := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte(`<?xml version="1.0" encoding="UTF-16"?>` + body))
	for name, b := range map[string][]byte{
		"UTF-8": []byte(body), "UTF-8 with its mark": []byte("\xef\xbb\xbf" + `<?xml version="1.0" encoding="UTF8"?>` + body), "Windows-1252": latin, "UTF-16": wide,
	} {
		d, err := ccda.Parse(b)
		if err != nil || d.Title() != "Müller – élève" || !ccda.Is(b) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesComeFromNamespacesNotPrefixes(t *testing.T) {
	d, err := ccda.Parse([]byte(`<v3:ClinicalDocument xmlns:v3="urn:hl7-org:v3" xmlns:s="urn:hl7-org:sdtc" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">` +
		`<v3:id root="1" xml:lang="en" s:valueSet="2"/><s:raceCode/><other xmlns="urn:x"><id/></other><v3:value i:type="v3:CD"/></v3:ClinicalDocument>`))
	if err != nil {
		t.Fatal(err)
	}
	id := d.Root.Child("id")
	if id.Attr("root") != "1" || id.Attr("xml:lang") != "en" || id.Attr("sdtc:valueSet") != "2" || id.Path() != "/ClinicalDocument/id" {
		t.Error("attributes")
	}
	if d.Root.Child("sdtc:raceCode") == nil || d.Root.At("?other/?id") == nil || d.Root.Child("value").Type() != "CD" {
		t.Error("elements")
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range corpus.CCDA(f) {
		if len(b) < 16_000 {
			f.Add(b)
		}
	}
	f.Add(document(`<component><structuredBody><component><section><text><table><tr><td ID="a">x</td></tr></table></text><entry><observation><text><reference value="#a"/></text></observation></entry></section></component></structuredBody></component>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ccda.Parse(b)
		p, perr := ccda.Patient(b)
		if err != nil {
			var at *ccda.Error
			if !errors.As(err, &at) || at.Reason == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if perr != nil || (p == nil) != (len(d.Patients()) == 0) && d.Root.Child("recordTarget").Child("patientRole") != nil {
			t.Fatalf("Patient: %v", perr)
		}
		for _, s := range d.Sections() {
			_ = ccda.Text(s.Child("text"))
			for _, e := range s.Entries() {
				_, _, _ = d.CD(e.Child("code")), d.Words(e.Child("text")), ccda.IntervalOf(e.Child("effectiveTime"))
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	all := corpus.CCDA(b)
	size := 0
	for _, d := range all {
		size += len(d)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, d := range all {
			_, _ = ccda.Parse(d)
		}
	}
}
