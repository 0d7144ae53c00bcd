package decision

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// wanted is a value of a body that is looked for.
type wanted struct {
	// at is where its reading goes.
	at *reading
	// rest of its path, from the value that is looked at.
	rest []string
}

// readBody reads the values at some paths of a JSON object, in one pass; a problem is about the whole
// body. Objects are entered by their keys, arrays by an index from 0.
func readBody(r *Request, paths [][]string) (readings []reading, problem string) {
	if problem := bodyProblem(r); problem != "" {
		return nil, problem
	}
	readings = make([]reading, len(paths))
	want := make([]wanted, len(paths))
	for i, path := range paths {
		readings[i].problem = missing
		want[i] = wanted{at: &readings[i], rest: path}
	}
	decoder := json.NewDecoder(bytes.NewReader(r.Body))
	decoder.UseNumber()
	if err := walk(decoder, want); err != nil {
		return nil, ambiguous
	}
	return readings, ""
}

// bodyProblem says why a body is not one that every reader takes for the same JSON object.
func bodyProblem(r *Request) string {
	switch {
	case r.BodyUnread:
		return "the body was not read whole: it is too long, or the gateway was not given all of it"
	case len(r.Body) == 0:
		return "the call has no body"
	case !isJSON(r.Header):
		return "the body is not declared as JSON: send one header Content-Type: application/json, and no Content-Encoding"
	case !utf8.Valid(r.Body) || !json.Valid(r.Body) || bytes.TrimLeft(r.Body, " \t\r\n")[0] != '{':
		return "the body is no JSON object in UTF-8"
	default:
		return ""
	}
}

// isJSON says whether the header leaves no other way to read the body: a server that takes it for a form
// would find other values in it.
func isJSON(header http.Header) bool {
	var declared []string
	for name, values := range header {
		switch {
		case sameHeader(name, "content-type"):
			declared = append(declared, values...)
		case sameHeader(name, "content-encoding"):
			return false
		}
	}
	if len(declared) != 1 {
		return false
	}
	mediaType, parameters, err := mime.ParseMediaType(declared[0])
	if err != nil || mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return false
	}
	charset, given := parameters["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// walk reads one value, and what is wanted of it.
func walk(decoder *json.Decoder, want []wanted) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	delim, container := token.(json.Delim)
	for _, w := range want {
		if len(w.rest) == 0 {
			*w.at = scalar(token)
		}
	}
	if !container {
		return nil
	}
	if delim == '{' {
		err = walkObject(decoder, want)
	} else {
		err = walkArray(decoder, want)
	}
	if err != nil {
		return err
	}
	_, err = decoder.Token()
	return err
}

// walkObject reads the fields of an object. Two keys that differ in letter case alone are one to some
// readers, Go's own among them.
func walkObject(decoder *json.Decoder, want []wanted) error {
	seen := make([]int, len(want))
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		var inside []wanted
		for i, w := range want {
			if len(w.rest) == 0 || !strings.EqualFold(w.rest[0], key) {
				continue
			}
			seen[i]++
			if w.rest[0] == key {
				inside = append(inside, wanted{at: w.at, rest: w.rest[1:]})
			}
		}
		if err := enter(decoder, inside); err != nil {
			return err
		}
	}
	for i, w := range want {
		if seen[i] > 1 {
			*w.at = reading{problem: repeated}
		}
	}
	return nil
}

func walkArray(decoder *json.Decoder, want []wanted) error {
	for index := 0; decoder.More(); index++ {
		var inside []wanted
		for _, w := range want {
			if len(w.rest) > 0 && w.rest[0] == strconv.Itoa(index) {
				inside = append(inside, wanted{at: w.at, rest: w.rest[1:]})
			}
		}
		if err := enter(decoder, inside); err != nil {
			return err
		}
	}
	return nil
}

// enter reads the next value, or passes it by where nothing of it is wanted.
func enter(decoder *json.Decoder, want []wanted) error {
	if len(want) == 0 {
		var passed json.RawMessage
		return decoder.Decode(&passed)
	}
	return walk(decoder, want)
}

// scalar reads a value that is no container. Numbers are compared as they are written, so that they have
// to be written in the shortest way: 1.0 and 1e0 are 1 to a reader and are not "1".
func scalar(token json.Token) reading {
	switch value := token.(type) {
	case string:
		if strings.ContainsAny(value, "\x00\ufffd") {
			return reading{problem: ambiguous}
		}
		return reading{value: value}
	case json.Number:
		if !isShortest(string(value)) {
			return reading{problem: "it is a number that is not written in the shortest way"}
		}
		return reading{value: string(value)}
	case bool:
		return reading{value: strconv.FormatBool(value)}
	case nil:
		return reading{problem: "it is null"}
	default:
		return reading{problem: "it is an object or a list"}
	}
}

// isShortest says whether a JSON number has neither an exponent, nor a zero at the end of its fraction, nor
// a sign before zero.
func isShortest(number string) bool {
	return !strings.ContainsAny(number, "eE") && number != "-0" &&
		(!strings.Contains(number, ".") || !strings.HasSuffix(number, "0"))
}
