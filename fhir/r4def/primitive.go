package r4def

import (
	"encoding/base64"
	"encoding/xml"
	"strconv"
	"strings"
	"time"
	"unicode"

	"firebreak/fhir"
)

// primitive tells what is wrong with a value of a primitive type, or "".
//
// Source: http://hl7.org/fhir/R4/datatypes.html#primitive and the regular
// expressions of the definitions.
func primitive(typ string, n fhir.Node) string {
	want := byte('"')
	switch typ {
	case "boolean":
		if k := n.Kind(); k != 't' && k != 'f' {
			return "must be true or false, without quotes"
		}
		return ""
	case "integer", "positiveInt", "unsignedInt", "decimal":
		want = '0'
	}
	if n.Kind() != want {
		if want == '0' {
			return "must be a number, without quotes"
		}
		return "must be a string"
	}
	s := n.Text()
	if s == "" {
		return "is empty"
	}
	switch typ {
	case "string", "markdown":
		return text(s)
	case "xhtml":
		return narrative(s)
	case "base64Binary":
		return binary(s)
	case "uri", "url", "canonical":
		if strings.IndexFunc(s, unicode.IsSpace) >= 0 {
			return "is not a " + typ
		}
		return ""
	}
	if re := load().regex[typ]; re != nil && !re.MatchString(s) {
		return "is not a " + typ
	}
	switch typ {
	case "date", "dateTime", "instant":
		if len(s) >= 10 {
			if _, err := time.Parse(time.DateOnly, s[:10]); err != nil {
				return "is not a day of the calendar"
			}
		}
	case "integer", "positiveInt", "unsignedInt":
		if _, err := strconv.ParseInt(s, 10, 32); err != nil {
			return "is beyond 32 bits"
		}
	}
	return ""
}

func text(s string) string {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return "holds a control character"
		}
	}
	if strings.TrimSpace(s) == "" {
		return "is blank"
	}
	if len(s) > 1<<20 {
		return "is longer than 1 MB"
	}
	return ""
}

func binary(s string) string {
	if strings.ContainsAny(s, " \t\r\n") {
		s = strings.Join(strings.Fields(s), "")
	}
	if len(s)%4 == 0 {
		if _, err := base64.StdEncoding.Decode(make([]byte, base64.StdEncoding.DecodedLen(len(s))), []byte(s)); err == nil {
			return ""
		}
	}
	return "is not base64"
}

// narrative tells whether s is one well-formed div with something in it
// (Narrative, txt-1 and txt-2, as far as structure goes).
func narrative(s string) string {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Entity = xml.HTMLEntity
	depth, divs, content := 0, 0, false
	for {
		t, err := d.Token()
		if err != nil {
			if depth > 0 || err.Error() != "EOF" {
				return "is not well-formed XHTML"
			}
			break
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 {
				if divs++; t.Name.Local != "div" || t.Name.Space != "http://www.w3.org/1999/xhtml" || divs > 1 {
					return "is not one XHTML div"
				}
			}
			switch strings.ToLower(t.Name.Local) {
			case "img":
				content = true
			case "script", "form", "iframe", "object", "embed", "link", "base", "frame", "head", "body":
				return "holds a forbidden element"
			}
			for _, a := range t.Attr {
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") {
					return "holds a forbidden attribute"
				}
			}
			if depth++; depth > fhir.MaxDepth {
				return "is nested too deeply"
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if strings.TrimSpace(string(t)) != "" {
				if depth == 0 {
					return "is not one XHTML div"
				}
				content = true
			}
		case xml.Directive:
			return "holds a forbidden element"
		}
	}
	if divs == 0 {
		return "is not one XHTML div"
	}
	if !content {
		return "has nothing in it"
	}
	return ""
}
