package controller

import (
	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/token"
)

// placeOf is the place in the status lists of the passport whose issue stands at an entry of the audit log:
// no two records share an entry, so no two passports share a place, and nothing has to hand places out.
func placeOf(entry audit.Entry) *v1alpha1.StatusListReference {
	list, index := int64(entry.Index/token.StatusListSize), int64(entry.Index%token.StatusListSize) //nolint:gosec // no log has 2^63 records
	return &v1alpha1.StatusListReference{Epoch: int64(entry.Epoch), List: &list, Index: &index}     //nolint:gosec // nor so many epochs
}

// statusOf is the claim that names the place; nil for a passport that has none.
func statusOf(terms *v1alpha1.IssuedTerms) *token.Status {
	id, ok := listOf(terms)
	if !ok {
		return nil
	}
	return &token.Status{StatusList: token.StatusListEntry{
		Index: *terms.StatusList.Index, URI: token.StatusListURI(terms.Issuer, id.epoch, id.list),
	}}
}

// placeIn is the inverse of statusOf; nil where the claim names no list of the issuer's.
func placeIn(issuer string, entry token.StatusListEntry) *v1alpha1.StatusListReference {
	epoch, list, err := token.ParseStatusListURI(issuer, entry.URI)
	if err != nil {
		return nil
	}
	return &v1alpha1.StatusListReference{Epoch: epoch, List: &list, Index: &entry.Index}
}

// listID finds one status list.
type listID struct{ epoch, list int64 }

// listOf is the list that a passport with these terms is in; false where it is in none.
func listOf(terms *v1alpha1.IssuedTerms) (listID, bool) {
	if terms == nil || terms.StatusList == nil || terms.StatusList.List == nil || terms.StatusList.Index == nil {
		return listID{}, false
	}
	return listID{epoch: terms.StatusList.Epoch, list: *terms.StatusList.List}, true
}
