package ccda_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"firebreak/adapters/ccda"
)

func parsed(t *testing.T, inside string) *ccda.Document {
	t.Helper()
	d, err := ccda.Parse(document(inside))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNarrativeAsText(t *testing.T) {
	for want, inside := range map[string]string{
		"One two":  "One\n   <content>two</content>",
		"a1b":      "a<sub>1</sub>b",
		"One\nTwo": "<paragraph>One</paragraph><paragraph>Two</paragraph>",
		"Title\nTest | Result\nHIV | positive; see note\n | 5": "<table><caption>Title</caption><thead><tr><th>Test</th><th>Result</th></tr></thead>" +
			"<tbody><tr><td>HIV</td><td><paragraph>positive</paragraph><paragraph>see note</paragraph></td></tr><tr><td/><td> 5 </td></tr></tbody></table>",
		"Drugs\n- one\n  - more\n- two": "Drugs<list><item>one<list><item>more</item></list></item><item>two</item></list>",
		"x\ny":                          "x<br/>y",
	} {
		if diff := cmp.Diff(want, ccda.Text(parsed(t, "<text>"+inside+"</text>").Root.Child("text"))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestACodeKeepsItsTranslationsAndWhatItRefersTo(t *testing.T) {
	d := parsed(t, `<component><structuredBody><component><section><text>Other <content ID="p1">Human
		immunodeficiency</content></text><entry><observation>
		<value xsi:type="CD" nullFlavor="OTH"><originalText><reference value="#p1"/></originalText>
		<qualifier><name code="272741003"/><value code="7771000"/></qualifier>
		<translation code="B20" codeSystem="2.16.840.1.113883.6.90" displayName="HIV disease"><translation code="042"/></translation></value></observation></entry></section></component>
		<component><section><text><content ID="p1">another</content></text></section></component></structuredBody></component>`)
	s := d.Sections()
	if len(s) != 2 || len(s[0].Entries()) != 1 {
		t.Fatal(len(s))
	}
	value := s[0].Entries()[0].Child("value")
	want := ccda.CD{
		Null: "OTH", Original: "Human immunodeficiency",
		Translations: []ccda.CD{{Code: "B20", System: "2.16.840.1.113883.6.90", Display: "HIV disease"}, {Code: "042"}},
		Qualifiers:   []ccda.Qualifier{{ccda.CD{Code: "272741003"}, ccda.CD{Code: "7771000"}}},
	}
	got := d.CD(value)
	if diff := cmp.Diff(want, got); diff != "" || value.Type() != "CD" {
		t.Error(diff)
	}
	if !got.Is("2.16.840.1.113883.6.90", "B20") || got.Is("2.16.840.1.113883.6.96", "B20") || !got.Known() {
		t.Error("Is")
	}
}

func TestNamesAddressesTimes(t *testing.T) {
	d := parsed(t, `<name use="L"><prefix>Dr</prefix><given>Ana</given><given qualifier="CL">Annie</given><family>de  Souza</family></name>
		<addr use="HP"><streetAddressLine>1 Main</streetAddressLine><city>Portland</city><postalCode>97005</postalCode></addr>
		<telecom value="tel:+1" use="WP MC"/><effectiveTime><low value="2012"/><high nullFlavor="UNK"/></effectiveTime>
		<value xsi:type="IVL_PQ"><low value="1" unit="mg" inclusive="false"/></value><text mediaType="application/pdf" representation="B64">QU
		JD</text>`)
	name := ccda.Name{Use: []string{"L"}, Prefix: []string{"Dr"}, Given: []string{"Ana"}, Called: []string{"Annie"}, Family: []string{"de Souza"}}
	if diff := cmp.Diff(name, ccda.NameOf(d.Root.Child("name"))); diff != "" {
		t.Error(diff)
	}
	if plain := ccda.NameOf(parsed(t, `<name>Get  Well Clinic</name>`).Root.Child("name")); plain.Text != "Get Well Clinic" {
		t.Error(plain)
	}
	addr := ccda.Address{Use: []string{"HP"}, Lines: []string{"1 Main"}, City: "Portland", Zip: "97005"}
	if diff := cmp.Diff(addr, ccda.AddressOf(d.Root.Child("addr"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ccda.Telecom{Use: []string{"WP", "MC"}, Value: "tel:+1"}, ccda.TelecomOf(d.Root.Child("telecom"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ccda.Interval{Low: "2012", HighNull: "UNK", Known: true}, ccda.IntervalOf(d.Root.Child("effectiveTime"))); diff != "" {
		t.Error(diff)
	}
	if r := ccda.RangeOf(d.Root.Child("value")); r.Low != (ccda.PQ{Value: "1", Unit: "mg", Open: true}) || r.High.Known() {
		t.Error(r)
	}
	if diff := cmp.Diff(ccda.ED{MediaType: "application/pdf", Base64: true, Data: "QUJD"}, ccda.EDOf(d.Root.Child("text"))); diff != "" {
		t.Error(diff)
	}
}
