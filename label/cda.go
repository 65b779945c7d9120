package label

import "strings"

// cdaCodes judges the codes of a CDA document, which stand in attributes and not in
// what is read of its text: by system and code, by name, by what a translation
// says. So a document is as sensitive as the most sensitive of its codes, whoever
// made resources of them.
//
// Source: HL7 CDA R2, data type CD.
func (j *judge) cdaCodes(text string) {
	if !strings.Contains(text, "urn:hl7-org:v3") {
		return
	}
	for {
		i := strings.IndexByte(text, '<')
		if i < 0 {
			return
		}
		text = text[i+1:]
		end := tagEnd(text)
		tag := text[:end]
		text = text[end:]
		if !strings.Contains(tag, "displayName") && !strings.Contains(tag, "code") {
			continue
		}
		code, system, name := attribute(tag, "code"), attribute(tag, "codeSystem"), attribute(tag, "displayName")
		if system == "" {
			system = attribute(tag, "codeSystemName")
		}
		if kind := j.rules.codes.kind(system); kind != "" && code != "" {
			for _, h := range j.rules.codes.judge(kind, code) {
				j.give(h.label, h.rule, "", code)
			}
		}
		if name != "" {
			j.read(numeric(entities.Replace(name)), inNote)
		}
	}
}

// tagEnd is where the tag that begins s ends; quotes may hold a ">".
func tagEnd(s string) int {
	quote := byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>' || c == '<':
			return i
		}
	}
	return len(s)
}

// attribute is the value of an attribute of a tag; "" when it has none.
func attribute(tag, name string) string {
	for from := 0; ; {
		i := strings.Index(tag[from:], name)
		if i < 0 {
			return ""
		}
		i += from
		from = i + len(name)
		if i == 0 || !strings.ContainsRune(" \t\r\n", rune(tag[i-1])) {
			continue
		}
		rest, ok := strings.CutPrefix(strings.TrimLeft(tag[from:], " \t\r\n"), "=")
		if rest = strings.TrimLeft(rest, " \t\r\n"); !ok || rest == "" || rest[0] != '"' && rest[0] != '\'' {
			continue
		}
		if value, _, closed := strings.Cut(rest[1:], rest[:1]); closed {
			return value
		}
		return ""
	}
}
