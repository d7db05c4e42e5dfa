-- A state store of format 1: a release was submitted and its first step is done. Kept as it was written; never made anew.
BEGIN TRANSACTION;
CREATE TABLE deployed (
	environment VARCHAR NOT NULL, 
	pool VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	build VARCHAR NOT NULL, 
	PRIMARY KEY (environment, pool)
);
CREATE TABLE environment (
	name VARCHAR NOT NULL, 
	fence INTEGER NOT NULL, 
	run VARCHAR, 
	owner VARCHAR NOT NULL, 
	pid INTEGER NOT NULL, 
	born FLOAT NOT NULL, 
	boot VARCHAR NOT NULL, 
	lease_until FLOAT NOT NULL, 
	since FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "environment" VALUES('test',1,NULL,'dana@ops-1',0,1795485128.14,'memory',0.0,1000000.0);
CREATE TABLE event (
	run VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	fence INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	step VARCHAR NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (run, seq)
);
INSERT INTO "event" VALUES('r-0001',1,1000000.0,1,'begin','s1','{"boot":"memory","boottime":1000000.0,"task":"look at everything once more"}');
INSERT INTO "event" VALUES('r-0001',2,1000000.0,1,'done','s1','{"checks":5,"healthy":2,"warnings":[]}');
CREATE TABLE evidence (
	id INTEGER NOT NULL, 
	environment VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	catalogue VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	verdict VARCHAR NOT NULL, 
	detail VARCHAR NOT NULL, 
	run VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE promise (
	id INTEGER NOT NULL, 
	environment VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	build VARCHAR NOT NULL, 
	pool VARCHAR NOT NULL, 
	since FLOAT NOT NULL, 
	earliest FLOAT NOT NULL, 
	run VARCHAR NOT NULL, 
	ended_at FLOAT, 
	ended_by VARCHAR, 
	ended_run VARCHAR, 
	because VARCHAR, 
	PRIMARY KEY (id), 
	UNIQUE (environment, run, version)
);
CREATE TABLE restore_point (
	environment VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	run VARCHAR NOT NULL, 
	location VARCHAR NOT NULL, 
	proof VARCHAR NOT NULL, 
	schema INTEGER NOT NULL, 
	tables INTEGER NOT NULL, 
	rows INTEGER NOT NULL, 
	bytes INTEGER NOT NULL, 
	PRIMARY KEY (environment, id)
);
CREATE TABLE run (
	id VARCHAR NOT NULL, 
	environment VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	parent VARCHAR, 
	"plan" TEXT NOT NULL, 
	plan_hash VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	ended FLOAT, 
	PRIMARY KEY (id)
);
INSERT INTO "run" VALUES('r-0001','test','release',NULL,'{"acknowledged":[],"app":"shop","at":1000000.0,"back_by_hand":["# memory: route blue:green:0","# memory: nothing in flight on green within 10 s"],"basis":{"catalogue":"column.t.old_a;column.t.old_b;table..t","changes":"d1a6c19a397a3cfe35d40dd040f41c6654de87d1040c04661c2cb28c708b4e20","configuration":"digest of the configuration","pools":{"blue":"1.0.0 (b1)","green":""},"route":"blue"},"because":"","build":"","by":"dana@ops-1","ends":[],"environment":"test","kind":"release","last_safe":0,"notes":[],"owed":["- column t.old_a (contract of v1.1.0)"],"schema_from":0,"schema_to":1,"source":{"text":"1.0.0"},"steps":[{"action":{"candidate":"green","live":"blue"},"by_hand":["cd /srv/shop","# blue must have all of the traffic","# memory: blue is live"],"expect":"route, versions, schema and change files are those of the plan","kind":"preflight","kind_version":1,"n":1,"takes":10.0,"who":"changeover","words":{"confirm":"nothing moved since the plan was made","do":"read balancer, database and instances of blue and green; compare them with the plan","probe":"always looked at again","task":"look at everything once more","undo":"nothing to undo: it only looks","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"before":"expand","id":"1.1.0-expand-19700112T134640Z"},"by_hand":["# memory: backup 1.1.0-expand-19700112T134640Z"],"expect":"restore point 1.1.0-expand-19700112T134640Z, compared","kind":"backup","kind_version":1,"n":2,"takes":240.0,"who":"changeover","words":{"confirm":"every table restored and equal","do":"take the restore point 1.1.0-expand-19700112T134640Z, restore it into scratch, compare table by table","probe":"restore point 1.1.0-expand-19700112T134640Z is recorded","task":"backup before expand: take, restore, compare","undo":"nothing to undo","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"digest":"digest of 1.1.0","statements":[{"alone":false,"file":"1.1.0.expand.sql","line":1,"lock":"brief","phase":"expand","probe":{"definition":"","name":"new_a","present":true,"table":"t","what":"column"},"reason":"","sql":"ALTER TABLE t ADD COLUMN new_a integer","title":"+ column t.new_a integer","verdict":"OK"},{"alone":false,"file":"1.1.0.expand.sql","line":1,"lock":"brief","phase":"expand","probe":{"definition":"","name":"new_b","present":true,"table":"t","what":"column"},"reason":"","sql":"ALTER TABLE t ADD COLUMN new_b integer","title":"+ column t.new_b integer","verdict":"OK"}],"version":{"text":"1.1.0"}},"by_hand":["# memory: ALTER TABLE t ADD COLUMN new_a integer as 1.1.0 expand 0","# memory: ALTER TABLE t ADD COLUMN new_b integer as 1.1.0 expand 1","# memory: 1.1.0 expand is complete"],"expect":"2 statements applied","kind":"expand","kind_version":1,"n":3,"takes":2.0,"who":"changeover","words":{"confirm":"every object is in the catalogue; the revision is one higher","do":"+ column t.new_a integer; + column t.new_b integer","probe":"the ledger in the database says that v1.1.0 is expanded","task":"expand the schema for v1.1.0","undo":"none: what was added stays and is owed; the next release of v1.1.0 recognises it","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"digest":"digest of 1.1.0","statements":[{"file":"1.1.0.backfill.sql","key":"id","line":1,"sql":"UPDATE t SET a = b WHERE a IS NULL","table":"t","title":"~ t.a"}],"version":{"text":"1.1.0"}},"by_hand":["# memory: UPDATE t SET a = b WHERE a IS NULL as 1.1.0 backfill 0"],"expect":"0 rows left to fill","kind":"backfill","kind_version":1,"n":4,"takes":120.0,"who":"changeover","words":{"confirm":"0 rows left to fill","do":"~ t.a","probe":"no row is left to fill","task":"backfill for v1.1.0","undo":"none: stop; filled rows stay and harm nobody","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"versions":[[{"text":"1.0.0"},"b1"],[{"text":"1.1.0"},""]],"when":"expanded"},"by_hand":["# memory: probe 1.0.0 b1","# memory: probe 1.1.0"],"expect":"v1.0.0, v1.1.0 work with the schema","kind":"prove","kind_version":1,"n":5,"takes":10.0,"who":"changeover","words":{"confirm":"every probe of v1.0.0, v1.1.0 passed; without probes: UNVERIFIED, as acknowledged","do":"run the probes of v1.0.0, v1.1.0 against the database","probe":"proved on this catalogue already","task":"prove v1.0.0, v1.1.0 on the schema as it is now (expanded)","undo":"nothing to undo: it only looks","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"build":"","pool":"green","version":{"text":"1.1.0"}},"by_hand":["# memory: login of 1.1.0","# memory: start green-1 1.1.0","# memory: start green-2 1.1.0"],"expect":"every slot of green runs","kind":"start","kind_version":1,"n":6,"takes":20.0,"who":"changeover","words":{"confirm":"a process runs on every slot of green","do":"start one instance of v1.1.0 on each slot of green","probe":"every slot of green runs v1.1.0","task":"start v1.1.0 on green","undo":"stop v1.1.0 on green","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"build":"","every":0.5,"pool":"green","times":2,"version":{"text":"1.1.0"},"within":5.0},"by_hand":["# memory: green-1 is ready as 1.1.0  within 5 s","# memory: green-2 is ready as 1.1.0  within 5 s","# memory: green is healthy"],"expect":"v1.1.0, ready, on every instance of green","kind":"ready","kind_version":1,"n":7,"takes":3.0,"who":"changeover","words":{"confirm":"every instance is v1.1.0, all of one build, and ready 2 times in a row","do":"ask every instance of green for readiness and identity, 2 times, for at most 5 s","probe":"always proved again","task":"v1.1.0 on green proves that it is ready","undo":"nothing to undo: it only looks","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"pool":"green","version":{"text":"1.1.0"}},"by_hand":["# memory: preview of green: 1.1.0"],"expect":"v1.1.0 answers by the preview header","kind":"smoke","kind_version":1,"n":8,"takes":10.0,"who":"changeover","words":{"confirm":"every check passed and v1.1.0 answered","do":"run the smoke checks on green by the preview header; no user gets there","probe":"always run again","task":"smoke test of v1.1.0 through the balancer","undo":"nothing to undo: 0 % of the users","way_back":"nothing to take back: v1.0.0 serves everything"}},{"action":{"expiry":30.0,"keep":null,"leaves":{"text":"1.0.0"},"leaves_build":"b1","other":"blue","pool":"green","salt":2313,"share":2500,"version":{"text":"1.1.0"}},"by_hand":["# memory: route blue:green:2500"],"expect":"blue live, 25% to green","kind":"shift","kind_version":1,"n":9,"takes":4.0,"who":"changeover","words":{"confirm":"read back from every worker and the disk: blue live, 25% to green","do":"commit the route to every worker: blue live, 25% to green","probe":"every worker and the disk say: blue live, 25% to green","task":"25% of the traffic to v1.1.0","undo":"all traffic back to blue","way_back":"1 step, about 4 s: all traffic to v1.0.0"}},{"action":{"min_requests":0,"other":"blue","pool":"green","rules":[{"above":0.0,"metric":"instance","min_requests":0,"seconds":1.0},{"above":0.0,"metric":"fallbacks","min_requests":0,"seconds":0.0}],"seconds":1.0,"share":2500},"by_hand":["# 25 % is on the new version: watch its errors; if in doubt go back","sleep 1","# memory: green is healthy"],"expect":"requests answered, no rule of going back met","kind":"bake","kind_version":1,"n":10,"takes":1.0,"who":"changeover","words":{"confirm":"no rule of going back applied, and there was enough traffic to tell","do":"count requests and errors on green; go back if a rule says so","probe":"watched for the whole time in this run","task":"watch 25% for 1 s","undo":"as the shift before it","way_back":"1 step, about 4 s: all traffic to v1.0.0"}},{"action":{"versions":[[{"text":"1.0.0"},"b1"],[{"text":"1.1.0"},""]],"when":"written"},"by_hand":["# memory: probe 1.0.0 b1","# memory: probe 1.1.0"],"expect":"v1.0.0, v1.1.0 work with the schema","kind":"prove","kind_version":1,"n":11,"takes":10.0,"who":"changeover","words":{"confirm":"every probe of v1.0.0, v1.1.0 passed; without probes: UNVERIFIED, as acknowledged","do":"run the probes of v1.0.0, v1.1.0 against the database","probe":"proved on this catalogue already","task":"prove v1.0.0, v1.1.0 on the schema after v1.1.0 has written","undo":"nothing to undo: it only looks","way_back":"1 step, about 4 s: all traffic to v1.0.0"}},{"action":{"expiry":30.0,"keep":0.0,"leaves":{"text":"1.0.0"},"leaves_build":"b1","other":"blue","pool":"green","salt":2313,"share":10000,"version":{"text":"1.1.0"}},"by_hand":["# memory: route green:blue:0"],"expect":"green live","kind":"shift","kind_version":1,"n":12,"takes":4.0,"who":"changeover","words":{"confirm":"read back from every worker and the disk: green live","do":"commit the route to every worker: green live","probe":"every worker and the disk say: green live","task":"100% of the traffic to v1.1.0","undo":"all traffic back to blue","way_back":"1 step, about 4 s: all traffic to v1.0.0"}},{"action":{"min_requests":0,"other":"blue","pool":"green","rules":[{"above":0.0,"metric":"instance","min_requests":0,"seconds":1.0},{"above":0.0,"metric":"fallbacks","min_requests":0,"seconds":0.0}],"seconds":1.0,"share":10000},"by_hand":["# all of the traffic is on the new version: watch its errors; if in doubt go back","sleep 1","# memory: green is healthy"],"expect":"requests answered, no rule of going back met","kind":"bake","kind_version":1,"n":13,"takes":1.0,"who":"changeover","words":{"confirm":"no rule of going back applied, and there was enough traffic to tell","do":"count requests and errors on green; go back if a rule says so","probe":"watched for the whole time in this run","task":"watch 100% for 1 s","undo":"as the shift before it","way_back":"1 step, about 4 s: all traffic to v1.0.0"}},{"action":{"at_deadline":"wait","hard":10.0,"pool":"blue","soft":2.0},"by_hand":["# memory: nothing in flight on blue within 10 s"],"expect":"0 requests in flight on blue","kind":"drain","kind_version":1,"n":14,"takes":2.0,"who":"changeover","words":{"confirm":"0 requests in flight on blue, on every worker","do":"wait for 0 in flight on blue, 2 s expected; after 10 s: wait","probe":"0 requests in flight on blue","task":"drain blue","undo":"nothing to undo: it only waits","way_back":"1 step, about 4 s: all traffic to v1.0.0"}}],"target":{"text":"1.1.0"}}','4a9bac2b2e786d2a3c5b0bc97b406547d857d2c4ebc0c7a97f9089012e46752d','running','dana@ops-1',1000000.0,NULL);
CREATE TABLE seen (
	environment VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (environment)
);
CREATE TABLE signal (
	id INTEGER NOT NULL, 
	run VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	argument VARCHAR NOT NULL, 
	"by" VARCHAR NOT NULL, 
	note VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	taken INTEGER, 
	PRIMARY KEY (id)
);
CREATE TABLE started (
	environment VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	PRIMARY KEY (environment, version)
);
CREATE TABLE store (
	id VARCHAR NOT NULL, 
	format INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "store" VALUES('9623875b70a4e521',1);
CREATE INDEX run_open ON run (environment) WHERE ended IS NULL;
CREATE INDEX ix_signal_run ON signal (run);
COMMIT;
