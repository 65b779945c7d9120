package pull

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/adapters/peer"
	"firebreak/adapters/rest"
	"firebreak/fhir"
)

// Bounds of the files that one resource names: how many are asked for, and bytes of
// an answer. What is longer stays with the server, and the resource names it.
const (
	maxNamed = 20
	maxFile  = 16 << 20
)

// attachments are where a type has files that it does not hold itself.
var attachments = map[string]string{
	"DocumentReference": "content.attachment.url", "DiagnosticReport": "presentedForm.url", "Media": "content.url",
	"Communication": "payload.contentAttachment.url", "CommunicationRequest": "payload.contentAttachment.url", "Consent": "sourceAttachment.url",
}

// named are the Binary resources of the same server that a resource has for files.
// What lies elsewhere is never asked for.
func (f *Feed) named(r fhir.Resource) (ids []string) {
	path, ok := attachments[r.Type()]
	if !ok {
		return nil
	}
	for n := range r.All(path) {
		if ref, ok := fhir.ParseRef(rest.Local(f.Server.Base, n.Text())); ok && ref.Type == "Binary" && len(ids) < maxNamed {
			ids = append(ids, ref.ID)
		}
	}
	return ids
}

// files asks for the Binary resources of those ids. One that the server does not
// give, or that is too long, is left out; any other failure is one of the round.
func (f *Feed) files(ctx context.Context, ids []string) (all []jsontext.Value, err error) {
	for _, id := range ids {
		b, err := f.file(ctx, id)
		switch {
		case peer.IsRefusal(err), errors.Is(err, peer.ErrForeign), errors.Is(err, errFile):
			f.log().Warn("a file that a document names is left out", "error", err)
		case err != nil:
			return nil, err
		default:
			all = append(all, b)
		}
	}
	return all, nil
}

var errFile = errors.New("pull: the server's answer is no file, or is too long")

// file is a Binary in JSON, whether the server gives it so or the file as it is.
func (f *Feed) file(ctx context.Context, id string) (jsontext.Value, error) {
	r, err := f.server.Ask(ctx, http.MethodGet, f.server.At("Binary/"+id, nil), http.Header{"Accept": {peer.FHIRJSON}}, nil)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	longest := cmp.Or(f.longest, maxFile)
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(longest)+1))
	switch {
	case err != nil:
		return nil, errors.New("pull: a file was cut off")
	case len(body) > longest:
		return nil, errFile
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, errFile
	}
	if res, err := fhir.Parse(body); err == nil && strings.HasSuffix(kind, "json") {
		if res.Type() != "Binary" || res.ID() != id {
			return nil, errFile
		}
		return bytes.TrimSpace(body), nil
	}
	if strings.Contains(kind, "fhir") {
		return nil, errFile
	}
	return json.Marshal(struct {
		Type string `json:"resourceType"`
		ID   string `json:"id"`
		Kind string `json:"contentType"`
		Data string `json:"data"`
	}{"Binary", id, kind, base64.StdEncoding.EncodeToString(body)})
}
