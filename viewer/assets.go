package viewer

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strings"

	"firebreak/fhir"
	"firebreak/web"
)

//go:embed assets/style.css assets/script.js
var assetFiles embed.FS

// asset is a file that is the same for everyone. Its address holds its hash,
// so a browser may keep it for ever.
type asset struct {
	path        string
	contentType string
	body        []byte
	packed      []byte // gzip
}

func readAsset(name, contentType string) (asset, error) {
	body, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		return asset{}, err
	}
	sum := sha256.Sum256(body)
	stem, end, _ := strings.Cut(name, ".")
	a := asset{path: "/assets/" + stem + "-" + hex.EncodeToString(sum[:6]) + "." + end, contentType: contentType, body: body}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return asset{}, err
	}
	if _, err := z.Write(body); err != nil {
		return asset{}, err
	}
	if err := z.Close(); err != nil {
		return asset{}, err
	}
	a.packed = packed.Bytes()
	return a, nil
}

// serveAsset answers for the two files every page loads.
func (v *Viewer) serveAsset(w http.ResponseWriter, r *http.Request) error {
	for _, a := range []asset{v.style, v.script} {
		if r.URL.Path != a.path {
			continue
		}
		web.Immutable(w)
		return web.WritePacked(w, r, a.contentType, a.body, a.packed)
	}
	return fhir.NotFound()
}
