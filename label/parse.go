package label

import (
	"crypto/sha256"
	"embed"
	"encoding/base32"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed rules/*.txt
var shipped embed.FS

// A rules file is plain text. "label NAME" says what its rules give. Then
// sections: [icd-10], [icd-9], [icd-o], [atc], [hcpcs] hold codes and ranges of
// codes with everything below them in the hierarchy; [loinc] holds single codes;
// [misspelt] holds words that are recognised with one letter wrong; [words]
// holds a phrase a line, in lower case and without accents, with "*" for any
// rest (or start) of a word, and after ";" what must hold besides:
//
//	with A, B      one of these phrases stands within a dozen words
//	without A, B   none of them does
//	except A, B    the word is none of these
//	in PLACES      only there: test, note, person ... (see places)
//	upper          only in capitals
//	alone          only when the text holds nothing else
//
// Files named harmless have no label. The codes of harmless-loinc.txt are known
// without a name. The words of harmless.txt make a local code's name known to be
// harmless, unless a rule says otherwise; those under [neutral] say nothing and
// are as harmless as the panel; those under [organization] tell an organization's
// name from a person's. "#" begins a comment.
const pattern = "rules/*.txt"

// load compiles all rule files of a folder.
func load(dir fs.FS) (*Rules, error) {
	names, err := fs.Glob(dir, pattern)
	if err != nil {
		return nil, fmt.Errorf("label: %w", err)
	}
	r := &Rules{match: newMatcher(), codes: newCodes(), texts: newCache[verdict](cacheSize), concepts: newCache[verdict](cacheSize), seen: newCache[finding](seenSize)}
	sum := sha256.New()
	sum.Write([]byte(engine))
	for _, name := range names {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("label: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(b), b)
		if err := r.read(strings.TrimSuffix(strings.TrimPrefix(name, "rules/"), ".txt"), string(b)); err != nil {
			return nil, err
		}
	}
	r.version = "r" + strings.ToLower(base32.StdEncoding.EncodeToString(sum.Sum(nil)[:10]))
	return r, nil
}

func (r *Rules) read(file, text string) error {
	var give Label
	section := ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		bad := func(what string) error { return fmt.Errorf("label: %s.txt line %d: %s", file, number, what) }
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			continue
		case file == "systems":
			kind, names, ok := strings.Cut(line, ":")
			if !ok {
				return bad("no kind")
			}
			for name := range strings.FieldsSeq(names) {
				r.codes.system[name] = kind
			}
			continue
		case strings.HasPrefix(line, "label "):
			give = Label(strings.TrimSpace(line[len("label "):]))
			continue
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			continue
		case give == "" && !strings.HasPrefix(file, "harmless"):
			return bad("no label")
		}
		switch section {
		case "words":
			if err := r.match.line(file, give, line); err != nil {
				return bad(err.Error())
			}
		case "neutral":
			n, ok := r.match.phrase(line)
			if !ok {
				return bad("no words")
			}
			r.match.neutral[n] = true
		case "organization":
			n, ok := r.match.phrase(line)
			if !ok {
				return bad("no words")
			}
			r.match.org[n] = true
		case "misspelt":
			for w := range strings.FieldsSeq(line) {
				r.match.resemble(w)
			}
		case "icd-10", "icd-9", "icd-o", "atc", "hcpcs", "loinc":
			for code := range strings.FieldsSeq(line) {
				if err := r.codes.add(section, code, give, file); err != nil {
					return bad(err.Error())
				}
			}
		default:
			return bad("unknown section [" + section + "]")
		}
	}
	return nil
}

// line compiles one line of [words].
func (m *matcher) line(file string, give Label, line string) error {
	parts := strings.Split(line, ";")
	n, ok := m.phrase(parts[0])
	if !ok {
		return fmt.Errorf("no words")
	}
	if give == "" {
		m.harmless[n] = true
		m.lone[n] = len(parts) > 1 && strings.TrimSpace(parts[1]) == "alone"
		return nil
	}
	r := rule{label: give, name: file + ": " + strings.TrimSpace(line), in: everywhere &^ inVaccine}
	for _, part := range parts[1:] {
		verb, rest, _ := strings.Cut(strings.TrimSpace(part), " ")
		switch verb {
		case "upper":
			r.upper = true
			rest = ""
		case "alone":
			r.alone = true
			rest = ""
		case "in":
			r.in = 0
			for place := range strings.FieldsSeq(rest) {
				w, ok := places[place]
				if !ok {
					return fmt.Errorf("no place %q", place)
				}
				r.in |= w
			}
		case "with", "without", "except":
			for text := range strings.SplitSeq(rest, ",") {
				p, ok := m.phrase(text)
				if !ok {
					return fmt.Errorf("nothing after %q", verb)
				}
				switch verb {
				case "with":
					r.with = append(r.with, p)
				case "without":
					r.without = append(r.without, p)
				case "except":
					r.except = append(r.except, p)
				}
			}
		default:
			return fmt.Errorf("unknown condition %q", verb)
		}
	}
	m.byPhrase[n] = append(m.byPhrase[n], int32(len(m.rules)))
	m.rules = append(m.rules, r)
	return nil
}
