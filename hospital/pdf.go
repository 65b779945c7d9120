package hospital

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// PDF is a PDF of one page with a text layer.
func PDF(title string, lines ...string) []byte {
	esc := strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`)
	var page strings.Builder
	fmt.Fprintf(&page, "BT /F1 18 Tf 72 740 Td (%s) Tj /F1 12 Tf 0 -32 Td", esc.Replace(title))
	for _, l := range lines {
		fmt.Fprintf(&page, " (%s) Tj 0 -18 Td", esc.Replace(l))
	}
	page.WriteString(" ET")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", page.Len(), page.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	at := make([]int, len(objects))
	for i, o := range objects {
		at[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

// pdf is such a file as OBX-5 holds it.
func pdf(title string, lines ...string) string {
	return base64.StdEncoding.EncodeToString(PDF(title, lines...))
}
