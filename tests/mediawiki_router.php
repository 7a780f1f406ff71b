<?php
// Routes for PHP's built-in server: the API, uploaded files, and thumbnails made when they are first asked for.
$path = rawurldecode( parse_url( $_SERVER['REQUEST_URI'], PHP_URL_PATH ) );
$code = getenv( 'WIKI_CODE' );
$uploads = getenv( 'WIKI_FOLDER' ) . '/uploads';

if ( str_starts_with( $path, '/images/' ) ) {
	$file = realpath( $uploads . substr( $path, strlen( '/images' ) ) );
	if ( $file !== false && str_starts_with( $file, $uploads . '/' ) && is_file( $file ) ) {
		header( 'Content-Type: ' . mime_content_type( $file ) );
		header( 'Content-Length: ' . filesize( $file ) );
		readfile( $file );
		return true;
	}
	$script = 'thumb_handler.php';
} elseif ( $path === '/api.php' ) {
	$script = 'api.php';
} else {
	http_response_code( 404 );
	return true;
}
$_SERVER['SCRIPT_NAME'] = "/$script";
chdir( $code );
require "$code/$script";
return true;
