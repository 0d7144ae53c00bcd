package token

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// StatusListSize is how many passports a status list has room for.
	StatusListSize = 1 << 20
	// statusListBytes is how long a list is, with one bit a passport.
	statusListBytes = StatusListSize / 8
	// statusListsPath is where the lists of an issuer are, below its URL.
	statusListsPath = "/statuslists/"
)

// ErrStatusList means that what was read is no status list to check passports with.
var ErrStatusList = errors.New("not a status list")

// StatusList says of passports whether they are over: one bit each, 0 for VALID and 1 for INVALID
// (draft-ietf-oauth-status-list, with bits = 1). Entry i is bit i%8 of byte i/8, the lowest bit first.
type StatusList []byte

// NewStatusList gives a list of StatusListSize entries, all of them valid.
func NewStatusList() StatusList { return make(StatusList, statusListBytes) }

// Len is how many entries the list has.
func (l StatusList) Len() int64 { return int64(len(l)) * 8 }

// Invalidate sets an entry to 1. It does nothing outside the list.
func (l StatusList) Invalidate(index int64) {
	if index >= 0 && index < l.Len() {
		l[index/8] |= 1 << (index % 8)
	}
}

// Invalid says whether an entry is 1. An entry that the list does not have is: nothing vouches for it.
func (l StatusList) Invalid(index int64) bool {
	return index < 0 || index >= l.Len() || l[index/8]>>(index%8)&1 == 1
}

// Merge sets to 1 what is 1 in another list. What the other one has beyond this one's end is left out.
func (l StatusList) Merge(other StatusList) {
	for i := range min(len(l), len(other)) {
		l[i] |= other[i]
	}
}

// Encode gives the `lst` member of a list: compressed with ZLIB, in base64url.
func (l StatusList) Encode() string {
	var compressed bytes.Buffer
	// Neither fails: the level is a good one, and a buffer takes everything.
	writer, _ := zlib.NewWriterLevel(&compressed, zlib.BestCompression)
	_, _ = writer.Write(l)
	_ = writer.Close()
	return base64.RawURLEncoding.EncodeToString(compressed.Bytes())
}

// DecodeStatusList reads an `lst` member. It inflates StatusListSize entries at most, and refuses a
// list of more, one without any, and whatever follows it.
func DecodeStatusList(lst string) (StatusList, error) {
	compressed, err := base64.RawURLEncoding.DecodeString(lst)
	if err != nil {
		return nil, fmt.Errorf("%w: lst is not base64url", ErrStatusList)
	}
	rest := bytes.NewReader(compressed)
	reader, err := zlib.NewReader(rest)
	if err != nil {
		return nil, fmt.Errorf("%w: lst is not ZLIB", ErrStatusList)
	}
	list, err := io.ReadAll(io.LimitReader(reader, statusListBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: lst does not inflate", ErrStatusList)
	case len(list) > statusListBytes:
		return nil, fmt.Errorf("%w: more than %d entries", ErrStatusList, StatusListSize)
	case len(list) == 0 || rest.Len() > 0:
		return nil, fmt.Errorf("%w: lst holds no entry, or more than a list", ErrStatusList)
	}
	return list, nil
}

// StatusListURI is the URL of a list: of an epoch of the audit log, and numbered within it from 0.
func StatusListURI(issuer string, epoch, list int64) string {
	return strings.TrimSuffix(issuer, "/") + statusListsPath + strconv.FormatInt(epoch, 10) + "/" + strconv.FormatInt(list, 10)
}

// ParseStatusListURI is the inverse of StatusListURI. It takes no other spelling of a number.
func ParseStatusListURI(issuer, uri string) (epoch, list int64, err error) {
	place, ok := strings.CutPrefix(uri, strings.TrimSuffix(issuer, "/")+statusListsPath)
	first, second, both := strings.Cut(place, "/")
	if !ok || !both {
		return 0, 0, fmt.Errorf("%w: %q is none of issuer %s", ErrStatusList, uri, issuer)
	}
	if epoch, list, err = parseStatusListPath(first, second); err != nil {
		return 0, 0, fmt.Errorf("%w: %q names no epoch and number", ErrStatusList, uri)
	}
	return epoch, list, nil
}

func parseStatusListPath(first, second string) (epoch, list int64, err error) {
	if epoch, err = strconv.ParseInt(first, 10, 64); err != nil {
		return 0, 0, err
	}
	if list, err = strconv.ParseInt(second, 10, 64); err != nil {
		return 0, 0, err
	}
	if epoch < 1 || list < 0 || strconv.FormatInt(epoch, 10) != first || strconv.FormatInt(list, 10) != second {
		return 0, 0, ErrStatusList
	}
	return epoch, list, nil
}
