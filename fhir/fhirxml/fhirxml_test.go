package fhirxml_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"reflect"
	"strings"
	"testing"

	"firebreak/fhir"
	"firebreak/fhir/fhirxml"
	"firebreak/fhir/r4def"
	"firebreak/internal/corpus"
)

// examples are the official ones of R4.
func examples(t testing.TB) (all []fhir.Resource) {
	t.Helper()
	for _, line := range corpus.Lines(t, "../r4def/testdata/examples.ndjson.gz") {
		r, err := fhir.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// What is written as XML is read back as the same resource: every literal to the
// letter, in whatever order its members stood.
func TestXMLLosesNothing(t *testing.T) {
	n, all := 0, examples(t)
	for _, lines := range corpus.FHIR(t) {
		for _, line := range lines {
			if r, err := fhir.Parse(line); err == nil && len(line) < 200_000 { // whole records are made of the same
				all = append(all, r)
			}
		}
	}
	for _, r := range all {
		if len(r4def.Check(r)) > 0 {
			continue
		}
		b, err := fhirxml.Write(r)
		if err != nil {
			t.Errorf("%s/%s: %v", r.Type(), r.ID(), err)
			continue
		}
		back, err := fhirxml.Read(b)
		if err != nil {
			t.Errorf("%s/%s is not read back: %v", r.Type(), r.ID(), err)
			continue
		}
		n++
		if was, is := plain(t, r), plain(t, back); !reflect.DeepEqual(was, is) {
			t.Errorf("%s/%s is another resource", r.Type(), r.ID())
		}
		indented, err := fhirxml.WriteIndented(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := fhirxml.Read(indented); err != nil || !reflect.DeepEqual(plain(t, r), plain(t, back)) {
			t.Errorf("%s/%s is another resource when it is indented (%v)", r.Type(), r.ID(), err)
		}
		again, err := fhirxml.Write(back)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s/%s is written otherwise the second time (%v)", r.Type(), r.ID(), err)
		}
	}
	if n < 1_000 {
		t.Errorf("%d resources were written and read", n)
	}
}

// plain is a resource without the order of its members; HTML's entities in
// narratives are the characters they stand for.
func plain(t testing.TB, r fhir.Resource) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(r.JSON()))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return narratives(v)
}

func narratives(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			if s, ok := x.(string); ok && name == "div" {
				v[name] = strings.NewReplacer("&nbsp;", "\u00a0", "&copy;", "©", "&reg;", "®", "&mdash;", "—", "&ndash;", "–", "&eacute;", "é", "&ouml;", "ö", "&uuml;", "ü", "&auml;", "ä", "&szlig;", "ß", "&deg;", "°", "&rarr;", "→", "&sect;", "§", "&para;", "¶").Replace(s)
				continue
			}
			narratives(x)
		}
	case []any:
		for _, x := range v {
			narratives(x)
		}
	}
	return v
}

func TestWrite(t *testing.T) {
	r, err := fhir.Parse([]byte(`{"name":[{"given":["J\u00fc<&\"","Ann"],"_given":[null,{"id":"g","extension":[{"valueCode":"x","url":"http://u","id":"e"}]}],"id":"n","family":"a\nb"}],
		"resourceType":"Patient","multipleBirthInteger":2,"_gender":{"extension":[{"url":"u","valueDecimal":1.00}]},"active":true,
		"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a&nbsp;<b>c</b>&amp;</div>"},
		"contained":[{"resourceType":"Organization","id":"o","name":"Acme"}],"id":"p1","managingOrganization":{"reference":"#o"}}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := fhirxml.Write(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"><id value="p1"/>` +
		`<text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">a` + "\u00a0" + `<b>c</b>&amp;</div></text>` +
		`<contained><Organization><id value="o"/><name value="Acme"/></Organization></contained><active value="true"/>` +
		`<name id="n"><family value="a&#10;b"/><given value="Jü&lt;&amp;&quot;"/><given id="g" value="Ann"><extension id="e" url="http://u"><valueCode value="x"/></extension></given></name>` +
		`<gender><extension url="u"><valueDecimal value="1.00"/></extension></gender><multipleBirthInteger value="2"/><managingOrganization><reference value="#o"/></managingOrganization></Patient>`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	const indented = `<?xml version="1.0" encoding="UTF-8"?>
<Patient xmlns="http://hl7.org/fhir">
  <id value="p1"/>
  <text>
    <status value="generated"/>
    <div xmlns="http://www.w3.org/1999/xhtml">a` + "\u00a0" + `<b>c</b>&amp;</div>
  </text>
  <contained>
    <Organization>
      <id value="o"/>
      <name value="Acme"/>
    </Organization>
  </contained>
  <active value="true"/>
  <name id="n">
    <family value="a&#10;b"/>
    <given value="Jü&lt;&amp;&quot;"/>
    <given id="g" value="Ann">
      <extension id="e" url="http://u">
        <valueCode value="x"/>
      </extension>
    </given>
  </name>
  <gender>
    <extension url="u">
      <valueDecimal value="1.00"/>
    </extension>
  </gender>
  <multipleBirthInteger value="2"/>
  <managingOrganization>
    <reference value="#o"/>
  </managingOrganization>
</Patient>`
	if b, err := fhirxml.WriteIndented(r); err != nil || string(b) != indented {
		t.Errorf("%v: got  %s\nwant %s", err, b, indented)
	}
}

// What XML cannot say is an error that names the place, not a document that says less.
func TestWriteFails(t *testing.T) {
	for resource, where := range map[string]string{
		`{"resourceType":"Patient","name":[{"family":"a\u0001b"}]}`: "Patient.name.family",
		`{"resourceType":"Patient","nickname":"x"}`:                 "Patient",
		`{"resourceType":"Patient","name":[{"nick":"x"}]}`:          "Patient.name",
	} {
		r, err := fhir.Parse([]byte(resource))
		if err != nil {
			t.Fatal(err)
		}
		_, err = fhirxml.Write(r)
		var at *fhir.Error
		if !errors.As(err, &at) || at.Expression != where {
			t.Errorf("%s: %v, want a fault at %s", resource, err, where)
		}
	}
}

func TestRead(t *testing.T) {
	patient := func(inside string) string {
		return "<?xml version=\"1.0\"?>\n<!-- c --><f:Patient xmlns:f=\"http://hl7.org/fhir\" xmlns=\"http://hl7.org/fhir\">" + inside + "</f:Patient>\n"
	}
	for _, c := range []struct{ in, want string }{
		{patient(``), `{"resourceType":"Patient"}`},
		{patient(`<active value="true"/> <!-- c --> <multipleBirthInteger value="2"/>`), `{"resourceType":"Patient","active":true,"multipleBirthInteger":2}`},
		{patient(`<name><given value="A"/><given id="x"/><family value="&#233;&#10;"/></name>`), `{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"id":"x"}],"family":"é\n"}]}`},
		{patient(`<name id="n"><given><extension url="u"><valueDecimal value="1.0"/></extension></given></name>`), `{"resourceType":"Patient","name":[{"id":"n","_given":[{"extension":[{"url":"u","valueDecimal":1.0}]}]}]}`},
		{patient(`<text><status value="empty"/><div xmlns="http://www.w3.org/1999/xhtml" ><p>x &lt; y</p></div></text>`), `{"resourceType":"Patient","text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\" ><p>x &lt; y</p></div>"}}`},
		{patient(`<contained><Organization><id value="o"/></Organization></contained>`), `{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"}]}`},

		{"", "The content is empty."},
		{"\ufeff ", "The content is empty."},
		{"x", "The document has text"},
		{`{"resourceType":"Patient"}`, "The document has text"},
		{`<Patient/>`, "in the namespace"},
		{`<Quizzical xmlns="http://hl7.org/fhir"/>`, "not a resource of R4"},
		{`<Resource xmlns="http://hl7.org/fhir"/>`, "not a resource of R4"},
		{`<!DOCTYPE Patient [<!ENTITY q "Quizzical">]>` + patient(``), "document type"},
		{patient(`<active value="&q;"/>`), "well-formed"},
		{patient(`<active value="Quizzical"/>`), "Patient.active is not true or false."},
		{patient(`<active/>`), "Patient.active has neither a value nor extensions."},
		{patient(`<active value="true"/><active value="true"/>`), "Patient.active is given twice."},
		{patient(`<multipleBirthInteger value=" 2"/>`), "is not a number"},
		{patient(`<multipleBirthInteger value="2,&quot;x&quot;:3"/>`), "is not a number"},
		{patient(`<nickname value="Quizzical"/>`), "Patient has an element that R4 does not know."},
		{patient(`<name nick="Quizzical"/>`), "Patient.name has an attribute that R4 does not know."},
		{patient(`<name><id value="x"/></name>`), "Patient.name has an element that R4 does not know."},
		{patient(`<name>Quizzical</name>`), "Patient.name has text that belongs to no element."},
		{patient(`<active xmlns="urn:other" value="true"/>`), "Patient has an element that R4 does not know."},
		{patient(`<text><div><p>x</p></div></text>`), "must declare the namespace"},
		{patient(`<text><div xmlns="http://www.w3.org/1999/xhtml"><?php x ?></div></text>`), "does not belong into a narrative"},
		{patient(`<contained/>`), "holds no resource"},
		{patient(`<contained><Organization/><Organization/></contained>`), "more than one resource"},
		{patient(``) + patient(``), "something after the resource"},
		{patient(``)[:40], "well-formed"},
		{patient(`<active value="` + "\xff" + `"/>`), "well-formed"},
		{`<?xml version="1.0" encoding="UTF-16"?>` + `<Patient xmlns="http://hl7.org/fhir"/>`, "well-formed"},
		{patient(strings.Repeat(`<extension url="u">`, 100)), "too deep"},
		{patient(`<text><div xmlns="http://www.w3.org/1999/xhtml">` + strings.Repeat("<b>", 1000)), "too deep"},
	} {
		r, err := fhirxml.Read([]byte(c.in))
		switch {
		case err != nil && strings.HasPrefix(c.want, "{"):
			t.Errorf("%s: %v", c.in, err)
		case err != nil:
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Quizzical") {
				t.Errorf("%s: %v, want %s", c.in, err, c.want)
			}
		case string(r.JSON()) != c.want:
			t.Errorf("%s is %s, want %s", c.in, r.JSON(), c.want)
		}
	}
}

// Whatever is read is a resource that can be written, if the definitions know all of
// it, and nothing makes the reader panic or quote what it read.
func FuzzRead(f *testing.F) {
	for i, r := range examples(f) {
		if b, err := fhirxml.Write(r); err == nil && i%20 == 0 && len(b) < 20_000 {
			f.Add(b)
		}
	}
	f.Add([]byte(`<Patient xmlns="http://hl7.org/fhir"><name><given value="Quizzical"/></name></Patient>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhirxml.Read(b)
		if err != nil {
			var at *fhir.Error
			if !errors.As(err, &at) || strings.Contains(err.Error(), "Quizzical") {
				t.Errorf("the error is %v", err)
			}
			return
		}
		out, err := fhirxml.Write(r)
		if err != nil {
			return // a character reference to what XML cannot hold, or an id twice
		}
		if err := xml.Unmarshal(out, new(struct{})); err != nil {
			t.Errorf("what was written is not XML: %v", err)
		}
		back, err := fhirxml.Read(out)
		if err != nil || !reflect.DeepEqual(plain(t, back), plain(t, r)) {
			t.Errorf("%s is read back as another resource (%v)", r, err)
		}
	})
}
