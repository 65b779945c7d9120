package label

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"firebreak/fhir"
)

func deflated(s string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

func pdf(streams ...string) []byte {
	var b strings.Builder
	b.WriteString("%PDF-1.7\n")
	for i, s := range streams {
		dict, body, _ := strings.Cut(s, "|")
		fmt.Fprintf(&b, "%d 0 obj\n<< %s /Length %d >>\nstream\n%s\nendstream\nendobj\n", i+1, dict, len(body), body)
	}
	b.WriteString("trailer << /Root 1 0 R >>\n%%EOF")
	return []byte(b.String())
}

// TestFiles: what a file says labels what holds it, however the file says it.
func TestFiles(t *testing.T) {
	r := rules(t)
	cmap := "/CIDInit begincmap 1 begincodespacerange <0000> <FFFF> endcodespacerange 2 beginbfrange <0024> <003D> <0041> <0044> <0044> <0061> endbfrange 1 beginbfchar <0003> <0020> endbfchar"
	hiv := "<002B002C0039>" // H I V from 0x24 = A
	rows := []struct {
		name, contentType string
		data              []byte
		want              Label // "" for none
	}{
		{"plain text", "text/plain", []byte("HIV-1 reactive"), HIV},
		{"text in Latin-1", "text/plain", []byte("c\xe1ncer de mama"), Cancer},
		{"text in UTF-16", "text/plain", append([]byte{0xff, 0xfe}, []byte("H\x00I\x00V\x00")...), HIV},
		{"harmless text", "text/plain", []byte("Sodium 140, feels well"), ""},
		{"HTML with marks inside a word", "text/html", []byte("<p>c<b>arcin</b>oma</p>"), Cancer},
		{"HTML in entities", "text/html", []byte("<p>&#72;&#x49;V</p>"), HIV},
		{"RTF", "application/rtf", []byte(`{\rtf1\ansi{\fonttbl\f0 Arial;}\f0 syphi\-lis \par RPR 1:8}`), STI},
		{"RTF in escapes", "text/rtf", []byte(`{\rtf1 c\'e1ncer}`), Cancer},
		{"RTF in Unicode", "text/rtf", []byte(`{\rtf1 c\u225?ncer}`), Cancer},
		{"PDF, plain stream", "application/pdf", pdf("|BT (HIV-1/2 Ag/Ab REACTIVE) Tj ET"), HIV},
		{"PDF, deflated", "application/pdf", pdf("/Filter /FlateDecode|" + deflated("BT (HIV-1/2 Ag/Ab REACTIVE) Tj ET")), HIV},
		{"PDF, in hexadecimal", "application/pdf", pdf("/Filter [/ASCIIHexDecode /FlateDecode]|" + fmt.Sprintf("%x>", deflated("BT <484956> Tj ET"))), HIV},
		{"PDF, in pieces with kerning", "application/pdf", pdf("|BT [(car) 20 (ci) -15 (noma)] TJ ET"), Cancer},
		{"PDF, letter by letter", "application/pdf", pdf("|BT 1 0 0 1 0 0 Tm (c) Tj 5 0 Td (ar) Tj 5 0 Td (cinoma) Tj ET"), Cancer},
		{"PDF, letter by letter on new lines", "application/pdf", pdf("|BT 1 0 0 1 0 0 Tm (H) Tj 1 0 0 1 5 0 Tm (I) Tj 1 0 0 1 9 0 Tm (V) Tj ET"), HIV},
		{"PDF, octal escapes", "application/pdf", pdf(`|BT (\110\111\126) Tj ET`), HIV},
		{"PDF, numbered letters", "application/pdf", pdf("|"+cmap, "|BT "+hiv+" Tj ET"), HIV},
		{"PDF, two fonts", "application/pdf", pdf("|1 beginbfchar <002B> <0041> endbfchar", "|"+cmap, "|BT "+hiv+" Tj ET"), HIV},
		{"PDF, title only", "application/pdf", []byte("%PDF-1.4\n1 0 obj << /Title (Tumor board) >> endobj"), Cancer},
		{"PDF, title in UTF-16", "application/pdf", []byte("%PDF-1.4\n1 0 obj << /Title (\xfe\xff\x00H\x00I\x00V) >> endobj"), HIV},
		{"PDF, metadata", "application/pdf", pdf("/Type /Metadata /Subtype /XML|<x:xmpmeta><dc:title>HIV</dc:title></x:xmpmeta>"), HIV},
		{"PDF said to be text", "text/plain", pdf("/Filter /FlateDecode|" + deflated("BT (HIV) Tj ET")), HIV},
		{"a scan", "application/pdf", pdf("/Subtype /Image|" + strings.Repeat("\x01HIV\xff", 20)), ""},
		{"a picture", "image/jpeg", []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x00\x00\x00\x00"), ""},
		{"nothing", "application/pdf", nil, ""},
		{"not base64 at all", "", []byte{}, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			data := base64.StdEncoding.EncodeToString(row.data)
			for _, model := range []obj{
				{"resourceType": "Binary", "contentType": row.contentType, "data": data},
				{"resourceType": "DiagnosticReport", "code": obj{"text": "Chemistry"}, "presentedForm": arr{obj{"contentType": row.contentType, "data": data}}},
			} {
				got := r.Label("lab", []fhir.Resource{resource(t, model)})[0]
				if row.want == "" && len(got.Labels()) > 0 || row.want != "" && !got.Has(row.want) {
					t.Errorf("%s: %v %v", model["resourceType"], got.Labels(), got.Reasons())
				}
			}
		})
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte(`{\rtf1 c\'e1ncer\u225?\bin3 abc}`))
	f.Add(pdf("/Filter /FlateDecode|"+deflated("BT [(a) -200 <41>] TJ ET"), "|1 beginbfrange <00> <ff> <0041> endbfrange"))
	f.Add([]byte("<p>a<b>c</p>&#x41;&#;"))
	f.Add([]byte{0xfe, 0xff, 0xd8, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if text := fileText("text/html", b); len(text) > 8*maxFileText {
			t.Errorf("%d bytes gave %d of text", len(b), len(text))
		}
		pdfText(b)
		rtfText(b)
	})
}
