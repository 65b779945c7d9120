package proof_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// group is an order group of a message: ORC, OBR and what stands under them.
type group struct {
	secret   bool
	control  string // ORC-1, empty for no ORC
	placer   string
	filler   string
	service  string // OBR-4
	doctor   string // OBR-16, an XCN
	state    string // OBR-25
	drug     string // RXO-1; then there is no OBR
	at       time.Time
	notes    []string // NTE under the order
	results  []result
	specimen string // SPM-4
	reason   string // OBR-31
	more     []string
}

// result is an OBX with its notes.
type result struct {
	secret bool
	typ    string // OBX-2
	code   string // OBX-3
	value  string
	unit   string
	limits string
	flag   string
	state  string
	notes  []string
	by     string // OBX-16
	part   string // a PRT behind it
}

// letter is an HL7 v2 message on its way to text. What is secret in it can be
// left out; then nothing of it remains, and lines are numbered without it.
type letter struct {
	typ      string // "ORU^R01^ORU_R01"
	app      string
	facility string
	control  string
	at       time.Time
	patient  string   // PID
	visit    string   // PV1, empty for none
	before   []string // segments between MSH and PID
	middle   []string // segments after PV1
	lines    []line   // further segments, some of them secret
	groups   []group
}

type line struct {
	text   string
	secret bool
}

func hl7Time(t time.Time) string { return t.In(vancouver).Format("20060102150405") }

// text is the message; without secrets unless they are asked for.
func (l letter) text(secrets bool) []byte {
	var s []string
	add := func(format string, args ...any) { s = append(s, fmt.Sprintf(format, args...)) }
	add(`MSH|^~\&|%s|%s|GATEWAY|HOUSE|%s||%s|%s|P|2.5.1`, l.app, l.facility, hl7Time(l.at), l.typ, l.control)
	s = append(s, l.before...)
	s = append(s, l.patient)
	if l.visit != "" {
		s = append(s, l.visit)
	}
	s = append(s, l.middle...)
	counts := map[string]int{}
	for _, x := range l.lines {
		if !x.secret || secrets {
			name, rest, _ := strings.Cut(x.text, "|#|")
			if rest != "" { // a set id
				counts[name]++
				x.text = fmt.Sprintf("%s|%d|%s", name, counts[name], rest)
			}
			s = append(s, x.text)
		}
	}
	set := 0
	for _, g := range l.groups {
		if g.secret && !secrets {
			continue
		}
		set++
		speaks := false // of a secret: then its words go with it
		for _, r := range g.results {
			speaks = speaks || r.secret && !g.secret
		}
		if g.control != "" {
			add("ORC|%s|%s|%s|||||||||%s", g.control, g.placer, g.filler, g.doctor)
		}
		if g.drug != "" {
			add("RXO|%s", g.drug)
		} else {
			add("OBR|%d|%s|%s|%s|||%s|||||||||%s||||||%s|||%s||||||%s", set, g.placer, g.filler, g.service, hl7Time(g.at.Add(-time.Hour)), g.doctor, hl7Time(g.at), g.state, g.reason)
		}
		if !speaks || secrets {
			for i, n := range g.notes {
				add("NTE|%d||%s", i+1, n)
			}
		}
		n := 0
		for _, r := range g.results {
			if r.secret && !secrets {
				continue
			}
			n++
			add("OBX|%d|%s|%s||%s|%s|%s|%s|||%s|||%s||%s", n, r.typ, r.code, r.value, r.unit, r.limits, r.flag, or(r.state, "F"), hl7Time(g.at), r.by)
			if r.part != "" {
				s = append(s, r.part)
			}
			for i, note := range r.notes {
				add("NTE|%d||%s", i+1, note)
			}
		}
		if g.specimen != "" {
			add("SPM|1|%s^%s||%s|||||||||||||%s", g.placer+"S", g.filler+"S", g.specimen, hl7Time(g.at.Add(-2*time.Hour)))
		}
		s = append(s, g.more...)
	}
	return []byte(strings.Join(s, "\r") + "\r")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// pdf is a file of one page with a text layer, compressed as most are.
func pdf(lines ...string) []byte {
	var content strings.Builder
	content.WriteString("BT /F1 11 Tf 72 720 Td 14 TL\n")
	for _, l := range lines {
		fmt.Fprintf(&content, "(%s) Tj T*\n", strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(l))
	}
	content.WriteString("ET")
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write([]byte(content.String()))
	_ = z.Close()
	var b bytes.Buffer
	var at []int
	object := func(body string) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(at), body)
	}
	b.WriteString("%PDF-1.4\n")
	object("<< /Type /Catalog /Pages 2 0 R >>")
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>")
	object(fmt.Sprintf("<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream", packed.Len(), packed.String()))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, o := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}

func rtf(lines ...string) []byte {
	return []byte(`{\rtf1\ansi\deff0{\fonttbl{\f0 Helvetica;}}\f0\fs22 ` + strings.Join(lines, `\par `) + `\par}`)
}

// file is a document in one of the forms laboratories send: the value of an OBX
// of type ED, or text lines of type TX.
func file(form int, lines ...string) (typ, value string) {
	b64 := base64.StdEncoding.EncodeToString
	switch form % 4 {
	case 0:
		return "ED", "LAB^application^pdf^Base64^" + b64(pdf(lines...))
	case 1:
		return "ED", "LAB^text^rtf^Base64^" + b64(rtf(lines...))
	case 2:
		return "ED", "LAB^text^plain^Base64^" + b64([]byte(strings.Join(lines, "\n")))
	}
	return "TX", strings.Join(lines, `\.br\`)
}
