pragma journal_mode = wal;
create table numbers(n integer primary key, text);
with recursive c(n) as (select 1 union all select n + 1 from c where n < 10000)
	insert into numbers select n, printf('number %d', n) from c;
select count(*), sum(n) from numbers;
pragma integrity_check;
begin;
delete from numbers;
select count(*) from numbers;
rollback;
delete from numbers where n % 10 = 0;
select count(*) from numbers;
create virtual table words using fts5(w);
insert into words select text from numbers where n < 100;
insert into numbers values (10000, 'last');
select text, n from numbers order by n desc limit 1;
vacuum;
.backup /tmp/copy
.open /tmp/copy
pragma integrity_check;
