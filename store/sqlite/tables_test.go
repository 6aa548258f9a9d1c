package sqlite_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/walink/walink/internal/sqlkeep"
)

// A later whatsmeow may have more tables or columns. What is not exported would
// be lost by a copy without a word.
func TestEveryTableOfWhatsmeowIsExported(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "walink.db")
	_, db := plain(t, path)
	t.Cleanup(func() { _ = db.Close() })
	rows, err := db.QueryContext(t.Context(), `
		SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type='table' AND m.name LIKE 'whatsmeow\_%' ESCAPE '\'
	`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []string
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		got = append(got, column)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := sqlkeep.Exported()
	for table, columns := range map[string]string{
		// These columns are the fields of whatsmeow's Device, and storetest
		// tests that all fields are copied.
		"whatsmeow_device": "jid lid facebook_uuid registration_id noise_key identity_key signed_pre_key signed_pre_key_id signed_pre_key_sig " +
			"adv_key adv_details adv_account_sig adv_account_sig_key adv_device_sig platform business_name push_name lid_migration_ts companion_meta_nonce",
		"whatsmeow_lid_map": "lid pn",         // ExportLIDs
		"whatsmeow_version": "version compat", // of the tables
	} {
		for column := range strings.FieldsSeq(columns) {
			want = append(want, table+"."+column)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns (-exported +there):\n%s", diff)
	}
}
