package search

import (
	"strings"
	"unicode"

	"firebreak/fhir"
)

// eachSound gives the words of a name as they sound: of a person's family and given
// names, of its text where it has neither.
func eachSound(n fhir.Node, l *leaf, f func(string)) {
	if l.typ != "HumanName" {
		for _, s := range sounds(n.Text()) {
			f(s)
		}
		return
	}
	some := false
	for _, name := range []string{"family", "given", "text"} {
		if some && name == "text" {
			return
		}
		for v := range n.Get(name).Items() {
			for _, s := range sounds(v.Text()) {
				f(s)
				some = true
			}
		}
	}
}

// sounds are the words of s as they sound, in capitals. A word that is not written in
// Latin letters sounds like itself alone.
func sounds(s string) (all []string) {
	for word := range strings.FieldsFuncSeq(Fold(s), func(c rune) bool { return !unicode.IsLetter(c) && c != '\'' && c != '’' }) {
		word = strings.NewReplacer("'", "", "’", "").Replace(word)
		if word == "" {
			continue
		}
		if sound := metaphone(word); sound != "" {
			word = sound
		}
		all = append(all, word)
	}
	return all
}

// metaphone is how a word is pronounced in English, about: "0" is th, "X" sh.
// Vowels count where the word begins with one; a "y" inside is a vowel. It is empty for
// a word that has other letters than a to z.
//
// Source: Lawrence Philips, Hanging on the Metaphone, Computer Language 7(12), 1990.
func metaphone(word string) string {
	w := make([]byte, 0, len(word))
	for i := range len(word) {
		c := word[i]
		if c < 'a' || c > 'z' {
			return ""
		}
		if n := len(w); n == 0 || w[n-1] != c || c == 'c' {
			w = append(w, c)
		}
	}
	switch {
	case begins(w, "ae", "gn", "kn", "pn", "wr"):
		w = w[1:]
	case begins(w, "wh"):
		w = append([]byte{'w'}, w[2:]...)
	case w[0] == 'x':
		w[0] = 's'
	}
	at := func(i int) byte {
		if i < 0 || i >= len(w) {
			return 0
		}
		return w[i]
	}
	vowel := func(c byte) bool { return c != 0 && strings.IndexByte("aeiouy", c) >= 0 }
	soft := func(c byte) bool { return c == 'e' || c == 'i' || c == 'y' }
	var out []byte
	for i := 0; i < len(w); i++ {
		before, next := at(i-1), at(i+1)
		switch c := w[i]; c {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			if i == 0 {
				out = append(out, c-'a'+'A')
			}
		case 'b':
			if before != 'm' || next != 0 {
				out = append(out, 'B')
			}
		case 'c':
			switch {
			case next == 'h' && i == 0 && !vowel(at(2)): // Christine
				out = append(out, 'K')
			case next == 'h' || next == 'i' && at(i+2) == 'a':
				out = append(out, 'X')
			case soft(next):
				if before != 's' {
					out = append(out, 'S')
				}
			case next == 'k' || next == 'c' && !soft(at(i+2)): // said by the second
			default:
				out = append(out, 'K')
			}
		case 'd':
			if next == 'g' && soft(at(i+2)) {
				out = append(out, 'J')
				i++
			} else {
				out = append(out, 'T')
			}
		case 'g':
			switch {
			case next == 'h' && !vowel(at(i+2)): // Wright, Leigh
			case next == 'n' && (i+2 == len(w) || string(w[i+2:]) == "ed"): // sign
			case soft(next):
				out = append(out, 'J')
			default:
				out = append(out, 'K')
			}
		case 'h':
			if vowel(next) && !strings.ContainsRune("cgpst", rune(before)) {
				out = append(out, 'H')
			}
		case 'p':
			if next == 'h' {
				out = append(out, 'F')
			} else {
				out = append(out, 'P')
			}
		case 'q':
			out = append(out, 'K')
		case 's':
			switch {
			case next == 'c' && at(i+2) == 'h': // Schmidt: among names there are more of these than of schools
				out = append(out, 'X')
				i += 2
			case next == 'h' || next == 'i' && (at(i+2) == 'o' || at(i+2) == 'a'):
				out = append(out, 'X')
			default:
				out = append(out, 'S')
			}
		case 't':
			switch {
			case next == 'h':
				out = append(out, '0')
			case next == 'i' && (at(i+2) == 'o' || at(i+2) == 'a'):
				out = append(out, 'X')
			case next == 'c' && at(i+2) == 'h': // said by the ch
			default:
				out = append(out, 'T')
			}
		case 'v':
			out = append(out, 'F')
		case 'w':
			if vowel(next) {
				out = append(out, 'W')
			}
		case 'x':
			out = append(out, 'K', 'S')
		case 'z':
			out = append(out, 'S')
		default: // f, j, k, l, m, n, r
			out = append(out, c-'a'+'A')
		}
	}
	return string(out)
}

func begins(w []byte, with ...string) bool {
	for _, s := range with {
		if strings.HasPrefix(string(w), s) {
			return true
		}
	}
	return false
}
