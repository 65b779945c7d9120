package fhirapi

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"firebreak/access"
	"firebreak/web"
)

// asFile tells whether a Binary is asked for as the file that it holds: by
// whoever does not ask for FHIR in words.
//
// Source: R4 binary.html#rest; IHE MHD ITI-68.
func asFile(r *http.Request) bool {
	if mux.Vars(r)["type"] != "Binary" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for name := range r.URL.Query() {
		if name == "_format" || name == "_summary" || name == "_elements" {
			return false
		}
	}
	for _, line := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			switch name, _, _ := strings.Cut(strings.TrimSpace(part), ";"); name {
			case "application/fhir+json", "application/fhir+xml", "application/json", "text/json", "json", "xml":
				return false
			}
		}
	}
	return true
}

// file answers with what a Binary holds, in its own type where that is wanted;
// the Binary itself where there is nothing in it, or FHIR is wanted rather. It is
// never a page: it goes out to be saved, under a policy that lets it do nothing.
func (a *api) file(w http.ResponseWriter, r *http.Request, c access.Caller) error {
	ref := target(r)
	q, err := projection(ref.Type, r)
	if err != nil {
		return err
	}
	got, err := a.Reader.Get(r.Context(), a.ask(r, c, ref.Type), ref)
	if err != nil {
		return err
	}
	content, err := base64.StdEncoding.DecodeString(got.Resource().Get("data").Text())
	kind := kindOf(got.Resource().Get("contentType").Text())
	if err != nil || len(content) == 0 || !accepts(r, kind) {
		if err := web.Negotiate(r, nil); err != nil {
			return err
		}
		return a.show(w, r, got, q)
	}
	validators(w, got)
	w.Header().Add("Vary", "Accept")
	if unchanged(r, got) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Disposition", "attachment")
	return web.Write(w, r, http.StatusOK, kind, content)
}

// kindOf is a content type as it can stand in a header.
func kindOf(declared string) string {
	if name, params, err := mime.ParseMediaType(declared); err == nil && strings.Count(name, "/") == 1 {
		if kind := mime.FormatMediaType(name, params); kind != "" {
			return kind
		}
	}
	return "application/octet-stream"
}

// accepts tells whether a file of that type may be answered; quality is not
// weighed, for there is one type only.
func accepts(r *http.Request, kind string) bool {
	name, _, _ := strings.Cut(kind, ";")
	group, _, _ := strings.Cut(name, "/")
	all := r.Header.Values("Accept")
	for _, line := range all {
		for part := range strings.SplitSeq(line, ",") {
			asked, params, err := mime.ParseMediaType(part)
			if err == nil && strings.Trim(params["q"], "0.") != "" || err == nil && params["q"] == "" {
				if asked == "*/*" || asked == group+"/*" || asked == name {
					return true
				}
			}
		}
	}
	return len(all) == 0
}
