package service

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/wire"
)

// maxLevel is the highest level of tiles that a tree can have.
const maxLevel = 7

// resourcePath is a path of the tlog-tiles API below its prefix.
type resourcePath struct {
	checkpoint, bundle bool
	// level of a tile of hashes; index and width (0: full) also of a bundle of entries.
	level, index uint64
	width        uint8
}

// parseResourcePath reads a path in the one way that it is written.
func parseResourcePath(path string) (resourcePath, bool) {
	if path == layout.CheckpointPath {
		return resourcePath{checkpoint: true}, true
	}
	rest, isTile := strings.CutPrefix(path, "tile/")
	kind, number, found := strings.Cut(rest, "/")
	if !isTile || !found {
		return resourcePath{}, false
	}
	place, width, err := layout.ParseTileIndexPartial(number)
	if err != nil {
		return resourcePath{}, false
	}
	if kind == "entries" {
		return resourcePath{bundle: true, index: place, width: width}, layout.EntriesPath(place, width) == path
	}
	level, err := layout.ParseTileLevel(kind)
	if err != nil || level > maxLevel {
		return resourcePath{}, false
	}
	return resourcePath{level: level, index: place, width: width}, layout.TilePath(level, place, width) == path
}

// within reports that a tree of this size has the resource: nothing is shown that is not signed for.
func (p resourcePath) within(size uint64) bool {
	has := size >> (layout.TileHeight * p.level)
	if p.index > has/layout.TileWidth {
		return false
	}
	width := uint64(p.width)
	if width == 0 {
		width = layout.TileWidth
	}
	return p.index*layout.TileWidth+width <= has
}

// resource serves the log as tlog-tiles lays it out.
func (s *service) resource(w http.ResponseWriter, r *http.Request, who user.Info) error {
	if err := s.allow(r, who, access.Get, ""); err != nil {
		return err
	}
	if r.URL.RawQuery != "" {
		return problem(wire.BadRequest, "the paths of the log take no query parameters")
	}
	epoch, err := parseNumber(r.PathValue("epoch"))
	if err != nil || epoch != s.Tree.Epoch() {
		return problem(wire.NotFound, "there is no such epoch here; the log is in epoch %d", s.Tree.Epoch())
	}
	path, ok := parseResourcePath(r.PathValue("path"))
	if !ok {
		return problem(wire.NotFound, "there is no such path; there are checkpoint, tile/<level>/<index> and tile/entries/<index>")
	}
	size := s.Tree.Head().Size
	if !path.checkpoint && !path.within(size) {
		return problem(wire.NotFound, "the signed tree has no such tile")
	}
	raw, err := s.read(r, path, size)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	// What a tile holds never changes. It is for the caller alone, who had to show a right.
	header.Set("Cache-Control", "private, max-age=31536000, immutable")
	if path.checkpoint {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("Cache-Control", "no-cache")
	}
	header.Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(http.StatusOK)
	if _, err := s.patient(w).Write(raw); err != nil {
		s.Log.V(1).Info("a tile could not be written", "why", err.Error())
	}
	return nil
}

// read reads a resource as wide as the tree of this size has it, and cuts off what is asked for.
func (s *service) read(r *http.Request, path resourcePath, size uint64) ([]byte, error) {
	if path.checkpoint {
		return s.Tree.ReadCheckpoint(r.Context())
	}
	has, width := layout.PartialTileSize(path.level, path.index, size), int(path.width)
	if width == 0 {
		width = layout.TileWidth
	}
	if path.bundle {
		raw, err := s.Tree.ReadEntryBundle(r.Context(), path.index, has)
		if err != nil {
			return nil, err
		}
		return firstEntries(raw, width)
	}
	raw, err := s.Tree.ReadTile(r.Context(), path.level, path.index, has)
	if err != nil {
		return nil, err
	}
	if len(raw) < width*sha256.Size {
		return nil, errShort
	}
	return raw[:width*sha256.Size], nil
}

// errShort is a tile with less in it than the tree has.
var errShort = errors.Join(audit.ErrBreak, errors.New("a tile is shorter than it was when it was signed"))

// firstEntries is the first n entries of a bundle, each with its length before it.
func firstEntries(raw []byte, n int) ([]byte, error) {
	rest := raw
	for range n {
		if len(rest) < 2 {
			return nil, errShort
		}
		length := 2 + int(binary.BigEndian.Uint16(rest))
		if len(rest) < length {
			return nil, errShort
		}
		rest = rest[length:]
	}
	return raw[:len(raw)-len(rest)], nil
}
