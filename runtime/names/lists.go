package names

// The lists are constants, so that they cost nothing until a name is asked for.

const adjectives = "able agile alert ample apt artful astute avid awake balmy bold brave bright brisk calm candid " +
	"careful cheerful chipper civil clear clever composed cosy crafty crisp curious daring deft devoted " +
	"diligent driven eager earnest easy elated exact fair fearless festive fluent focused fond frank " +
	"friendly frugal gallant generous gentle glad graceful gritty handy hardy hearty helpful honest hopeful " +
	"humble ideal inventive jolly jovial joyful just keen kind lively logical loyal lucid lucky mellow " +
	"merry mighty mindful modest neat nimble noble orderly patient peppy playful plucky polite precise " +
	"prompt proud quick quiet radiant ready robust sage serene sharp sincere smart sober spry steady " +
	"sturdy subtle sunny swift tactful tender thrifty tidy tranquil trusty upbeat valiant vivid warm " +
	"watchful wise witty zesty"

const surnames = "abbate abramson adleman aho ampere andreessen antonelli archimedes armstrong babbage backus baran " +
	"bardeen bartik bell bellovin berners bohr boole borg bose branly brattain braun brunel bush cailliau carnot " +
	"carson cassini cerf chandra chappe cheshire chomsky church clark clarke cocke codd cohen conway cooke " +
	"cormack crocker crowcroft curie dalal dalton darwin davies davy deering demers denning diffie dijkstra " +
	"edison eckert einstein engelbart estrin euclid euler falkoff faraday farnsworth feinler fermi fessenden " +
	"feynman flowers floyd fourier franklin frege galileo gauss gibbs godel goldberg goldwasser gosling gray " +
	"hamilton hamming hartley heaviside hellman henry hertz hevelius hilbert hoare hollerith holberton hooke " +
	"hopper huffman huygens jacobson jacquard jennings johnson joule kahn kalman karn karp kay kelvin kepler " +
	"kernighan kilby kirchhoff kirstein kleinrock knuth kovalevskaya lamarr lamport laplace leibniz licklider " +
	"liskov lovelace lynch marconi markov mauchly maxwell mccarthy mccluskey mcilroy mead meitner merkle " +
	"metcalfe mills minsky mockapetris moore morse nagle napier nernst neumann newell newton noether noyce " +
	"nyquist oersted ohm papert partridge pascal pasteur paxson perlman picard planck poincare popov postel " +
	"pouzin ramanujan ritchie rivest roberts saltzer samuel shamir shannon shockley siemens sinclair snell " +
	"spence stallings stokes strowger sutherland tarjan taylor telegdi tesla thompson tomlinson torvalds " +
	"turing vail vixie volta watson watt wheatstone wheeler wiener wilkes wilkinson wing wirth yonath zimmermann zuse"
