package viewer

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/mux"
	"golang.org/x/text/encoding/charmap"

	"firebreak/fhir"
	"firebreak/viewer/clinical"
	"firebreak/viewer/rtf"
	"firebreak/web"
)

const listLines = 200 // of a list on one page

func (v *Viewer) reports(w http.ResponseWriter, r *http.Request, f *frame) error {
	return v.render(w, r, http.StatusOK, "reports", struct {
		*frame
		Reports []*clinical.Report
		pager
	}{f, page(f.Chart.Reports, r), pages(len(f.Chart.Reports), f.Base+"/reports", r)})
}

// reportModel is one report.
type reportModel struct {
	*frame
	Report  *clinical.Report
	Results []*clinical.Result
	Files   []fileView
}

func (v *Viewer) report(w http.ResponseWriter, r *http.Request, f *frame) error {
	i, err := f.findItem(mux.Vars(r)["id"], len(f.Chart.Reports), func(i int) fhir.Ref { return f.Chart.Reports[i].Ref })
	if err != nil {
		return err
	}
	x := f.Chart.Reports[i]
	if i > 0 {
		f.Prev = f.ReportLink(f.Chart.Reports[i-1])
	}
	if i+1 < len(f.Chart.Reports) {
		f.Next = f.ReportLink(f.Chart.Reports[i+1])
	}
	f.paper = f.PrintReport(x)
	return v.render(w, r, http.StatusOK, "report", &reportModel{f, x, f.Chart.ResultsOf(x), f.files(x.Files, f.ReportLink(x))})
}

func (v *Viewer) reportFile(w http.ResponseWriter, r *http.Request, f *frame) error {
	i, err := f.findItem(mux.Vars(r)["id"], len(f.Chart.Reports), func(i int) fhir.Ref { return f.Chart.Reports[i].Ref })
	if err != nil {
		return err
	}
	return f.sendFile(w, r, f.Chart.Reports[i].Files)
}

func (v *Viewer) documents(w http.ResponseWriter, r *http.Request, f *frame) error {
	return v.render(w, r, http.StatusOK, "documents", struct {
		*frame
		Documents []*clinical.Document
		pager
	}{f, page(f.Chart.Documents, r), pages(len(f.Chart.Documents), f.Base+"/documents", r)})
}

// documentModel is one document.
type documentModel struct {
	*frame
	Document *clinical.Document
	Files    []fileView
}

func (v *Viewer) document(w http.ResponseWriter, r *http.Request, f *frame) error {
	i, err := f.findItem(mux.Vars(r)["id"], len(f.Chart.Documents), func(i int) fhir.Ref { return f.Chart.Documents[i].Ref })
	if err != nil {
		return err
	}
	x := f.Chart.Documents[i]
	if i > 0 {
		f.Prev = f.DocumentLink(f.Chart.Documents[i-1])
	}
	if i+1 < len(f.Chart.Documents) {
		f.Next = f.DocumentLink(f.Chart.Documents[i+1])
	}
	return v.render(w, r, http.StatusOK, "document", &documentModel{f, x, f.files(x.Files, f.DocumentLink(x))})
}

func (v *Viewer) documentFile(w http.ResponseWriter, r *http.Request, f *frame) error {
	i, err := f.findItem(mux.Vars(r)["id"], len(f.Chart.Documents), func(i int) fhir.Ref { return f.Chart.Documents[i].Ref })
	if err != nil {
		return err
	}
	return f.sendFile(w, r, f.Chart.Documents[i].Files)
}

// findItem finds what a handle names among n items of the view. A handle of
// what is withheld is as unknown as one that never was.
func (f *frame) findItem(handle string, n int, at func(int) fhir.Ref) (int, error) {
	for i := range n {
		if r := at(i); f.v.handles.item(f.session.Key, r.Type, r.ID) == handle {
			return i, nil
		}
	}
	return 0, fhir.NotFound()
}

// fileView is an attachment as a page shows it: its text, or the address under
// which the browser shows it in a frame or as a picture.
type fileView struct {
	Title   string
	Text    string
	PDF     string
	Picture string
	Missing bool   // its content did not come with the record
	Unknown string // a kind that is not shown, by its MIME type
}

func (f *frame) files(all []clinical.File, base string) []fileView {
	views := make([]fileView, len(all))
	for i, x := range all {
		view := fileView{Title: x.Title}
		content, ok := f.Chart.Bytes(x)
		switch kind := kindOf(x.Type, content); {
		case !ok:
			view.Missing = true
		case kind == "text/plain":
			view.Text = plainText(content)
		case kind == "text/rtf":
			if text, err := rtf.Text(content); err == nil {
				view.Text = text
			} else {
				view.Unknown = kind
			}
		case kind == "application/pdf":
			view.PDF = base + "/" + strconv.Itoa(i)
		case strings.HasPrefix(kind, "image/"):
			view.Picture = base + "/" + strconv.Itoa(i)
		default:
			view.Unknown = kind
		}
		views[i] = view
	}
	return views
}

// sendFile sends one attachment for the browser's own viewer. Only kinds that
// cannot run anything are sent, under the type their bytes show.
func (f *frame) sendFile(w http.ResponseWriter, r *http.Request, all []clinical.File) error {
	n, err := strconv.Atoi(mux.Vars(r)["n"])
	if err != nil || n >= len(all) {
		return fhir.NotFound()
	}
	content, ok := f.Chart.Bytes(all[n])
	if !ok {
		return fhir.NotFound()
	}
	kind := kindOf(all[n].Type, content)
	switch kind {
	case "application/pdf", "image/png", "image/jpeg", "image/gif":
	default:
		return fhir.NotFound()
	}
	web.Framed(w)
	w.Header().Set("Content-Disposition", `inline; filename="document`+map[string]string{
		"application/pdf": ".pdf", "image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif"}[kind]+`"`)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
	return nil
}

// kindOf is what a file is. Where the first bytes tell, they are believed over
// what was declared; what is declared text and is none of those is text.
func kindOf(declared string, content []byte) string {
	begins := func(s string) bool { return len(content) >= len(s) && string(content[:len(s)]) == s }
	switch {
	case begins("%PDF-"):
		return "application/pdf"
	case begins(`{\rtf`):
		return "text/rtf"
	case begins("\x89PNG\r\n\x1a\n"):
		return "image/png"
	case begins("\xff\xd8\xff"):
		return "image/jpeg"
	case begins("GIF87a"), begins("GIF89a"):
		return "image/gif"
	}
	switch declared {
	case "text/plain", "text/x-hl7-ft", "":
		if printable(content) {
			return "text/plain"
		}
	}
	if declared == "" {
		return "application/octet-stream"
	}
	return declared
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' {
			return false
		}
	}
	return true
}

// plainText is a text file in UTF-8 with "\n" between lines. What is no UTF-8
// is read as Windows-1252, the usual other case.
func plainText(b []byte) string {
	if !utf8.Valid(b) {
		if d, err := charmap.Windows1252.NewDecoder().Bytes(b); err == nil {
			b = d
		}
	}
	s := strings.TrimPrefix(string(b), "\ufeff")
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// pager is the links under a long list.
type pager struct{ Newer, Older string }

func page[T any](all []T, r *http.Request) []T {
	start := min(count(r.URL.Query().Get("page"))*listLines, len(all))
	return all[start:min(start+listLines, len(all))]
}

func pages(n int, path string, r *http.Request) pager {
	at := count(r.URL.Query().Get("page"))
	var p pager
	link := func(i int) string {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(i))
		return fmt.Sprintf("%s?%s", path, q.Encode())
	}
	if at > 0 {
		p.Newer = link(at - 1)
	}
	if (at+1)*listLines < n {
		p.Older = link(at + 1)
	}
	return p
}
