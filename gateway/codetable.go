package gateway

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A table of a dialect may stand in a CSV file beside it, as a laboratory exports
// its list:
//
//	table tests from tests.csv: Local -> LOINC | Name | =http://loinc.org
//
// The words behind the colon are the file's columns, in the form of a table's
// line; what begins with "=" is the same for every row. Its first line names the
// columns, in any order and with others among them; cells are parted by commas, or
// by semicolons where it has no comma. A row without a code of ours is left out:
// nobody has decided on it, and the sender's code stays.
var tableFrom = regexp.MustCompile(`^table[ \t]+(\S+)[ \t]+from[ \t]+("[^"]+"|\S+?):[ \t]+(\S.*)$`)

// maxTable bounds such a file, bytes.
const maxTable = 4 << 20

// DialectText is a dialect's text with the tables of other files in it. Errors name
// the file and the line.
func DialectText(path string) (string, error) {
	text, _, err := dialectText(path)
	return text, err
}

// dialectText gives the text and, of each line of it, the file and line it is of.
func dialectText(path string) (text string, origin []string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	var out strings.Builder
	put := func(line, of string, n int) {
		out.WriteString(line)
		origin = append(origin, fmt.Sprintf("%s line %d", filepath.Base(of), n))
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		bare, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " #")
		m := tableFrom.FindStringSubmatch(strings.TrimRight(bare, " \t"))
		if m == nil {
			put(line, path, n)
			continue
		}
		put("table "+m[1]+"\n", path, n)
		name := strings.Trim(m[2], `"`)
		if !filepath.IsLocal(name) {
			return "", nil, fmt.Errorf("%s line %d: the file of a table lies in the dialect's folder", filepath.Base(path), n)
		}
		file := filepath.Join(filepath.Dir(path), name)
		rows, err := codeRows(file, m[3])
		if err != nil {
			return "", nil, fmt.Errorf("%s line %d: %w", filepath.Base(path), n, err)
		}
		for _, row := range rows {
			put(row.text, file, row.line)
		}
	}
	return out.String(), origin, nil
}

// codeRow is a row as a line of a table.
type codeRow struct {
	text string
	line int // of the file
}

// codeRows reads the rows of a file, columns as the form says.
func codeRows(file, form string) (rows []codeRow, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxTable {
		return nil, fmt.Errorf("%s has more than %d bytes", filepath.Base(file), maxTable)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	if !utf8.ValidString(text) {
		return nil, errors.New(filepath.Base(file) + " is not UTF-8")
	}
	head, _, _ := strings.Cut(text, "\n")
	r := csv.NewReader(strings.NewReader(text))
	if r.FieldsPerRecord = -1; !strings.Contains(head, ",") && strings.Contains(head, ";") {
		r.Comma = ';'
	}
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: its first line names the columns", filepath.Base(file))
	}
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	theirs, ours, ok := strings.Cut(form, "->")
	if !ok {
		return nil, errors.New("the columns of a table are THEIRS -> CODE | NAME | SYSTEM")
	}
	var cells []func([]string) string
	for _, name := range append([]string{theirs}, strings.Split(ours, "|")...) {
		name = strings.Trim(strings.TrimSpace(name), `"`)
		if constant, is := strings.CutPrefix(name, "="); is {
			cells = append(cells, func([]string) string { return constant })
			continue
		}
		i := slices.Index(names, name)
		if i < 0 {
			return nil, fmt.Errorf("%s has no column %q", filepath.Base(file), name)
		}
		cells = append(cells, func(row []string) string {
			if i >= len(row) {
				return ""
			}
			return strings.TrimSpace(row[i])
		})
	}
	if len(cells) > 4 {
		return nil, errors.New("the columns of a table are THEIRS -> CODE | NAME | SYSTEM")
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			line := 0
			if bad, ok := errors.AsType[*csv.ParseError](err); ok {
				line = bad.Line
			}
			return nil, fmt.Errorf("%s line %d: not a row of CSV", filepath.Base(file), line)
		}
		line, _ := r.FieldPos(0)
		var said []string
		for _, cell := range cells {
			c := cell(row)
			if strings.ContainsAny(c, "\"|\r\n") || strings.Contains(c, "->") {
				return nil, fmt.Errorf("%s line %d: a cell with a quote, a bar, an arrow or an end of line cannot stand in a table", filepath.Base(file), line)
			}
			said = append(said, `"`+c+`"`)
		}
		if said[1] == `""` {
			continue
		}
		if said[0] == `""` {
			return nil, fmt.Errorf("%s line %d: no code of theirs", filepath.Base(file), line)
		}
		rows = append(rows, codeRow{"\t" + said[0] + " -> " + strings.Join(said[1:], " | ") + "\n", line})
	}
}

// lineOf is the beginning of an error of mapping.ReadDialect.
var lineOf = regexp.MustCompile(`(?m)^line (\d+)`)

// placed has such an error name the files that lines are of.
func placed(err error, origin []string) error {
	return errors.New(lineOf.ReplaceAllStringFunc(err.Error(), func(s string) string {
		if n, _ := strconv.Atoi(strings.TrimPrefix(s, "line ")); n > 0 && n <= len(origin) {
			return origin[n-1]
		}
		return s
	}))
}
