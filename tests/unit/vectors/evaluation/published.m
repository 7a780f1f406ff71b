% The published definitions of ILSVRC's two errors, as plainly as they are written, over a devkit's meta.mat.
%
%     octave-cli published.m META.MAT PREDICTIONS.TXT GROUND_TRUTH.TXT
%
% Flat (2010 to 2012): for each picture the least of d(guess, truth) over its first 1, 2 ... 5 guesses, where d is 0 for
% the true class and 1 for another; the mean over pictures. Hierarchical (2010): the same with d the height of the
% lowest common ancestor of the two. Of several common ancestors the lowest is the one with the least height. A guess
% that is missing is as far off as can be. Prints both, a row for each number of guesses.

synsets = load(argv(){1}).synsets;
count = numel(synsets);
height = [synsets.wordnet_height];

parents = cell(1, count);
for above = 1:count
  for below = synsets(above).children
    parents{below}(end + 1) = above;
  end
end

truth = load(argv(){3});
guesses = zeros(numel(truth), 5);
file = fopen(argv(){2});
for picture = 1:numel(truth)
  line = sscanf(fgetl(file), '%d')';
  first = line(1:min(5, end));
  guesses(picture, 1:numel(first)) = first;
end
fclose(file);

function found = lineage(synset, parents)
  found = synset;
  waiting = synset;
  while ! isempty(waiting)
    above = setdiff(unique([parents{waiting}]), found);
    found = [found, above];
    waiting = above;
  end
end

known = cell(1, count);
for class = unique([truth', guesses(guesses > 0)'])
  known{class} = lineage(class, parents);
end

flat = ones(size(guesses));
hierarchical = repmat(max(height), size(guesses));
for picture = 1:numel(truth)
  for place = 1:5
    guess = guesses(picture, place);
    if guess == truth(picture)
      flat(picture, place) = 0;
      hierarchical(picture, place) = 0;
    elseif guess > 0
      hierarchical(picture, place) = min(height(intersect(known{guess}, known{truth(picture)})));
    end
  end
end

for place = 1:5
  printf("%.9f %.9f\n", mean(min(flat(:, 1:place), [], 2)), mean(min(hierarchical(:, 1:place), [], 2)));
end
